"""Sharing a budget among layers by what scores or weights say."""

from raiw.budgets.budget import budget
from raiw.errors import JobFailed
from raiw.jobs.budget import BudgetJob
from raiw.jobs.workspace import Made, Needed, Workspace, write_report


def run(job: BudgetJob, space: Workspace) -> Made | Needed:
    """Share the budget; with ``craft`` ask for the masks of what came out.

    Raises
    ------
    JobFailed
        The masks cannot be crafted.
    """
    shared = budget(job.spec, space.file(job.importance), job.method, layers=job.layers)
    crafting = job.crafting(shared)
    report = {
        "spec": shared.canonical(),
        "plan": shared.plan(scored=job.scored).to_json(),
        "masks": None,
    }
    if job.craft:
        answer = space.answers.get(crafting.content_key())
        if answer is None:
            return Needed((crafting,))
        if answer.report is None:
            why = (answer.problem or {}).get("detail", "it failed")
            raise JobFailed(f"the shares cannot be crafted: {why}", error=answer.problem)
        report |= {"masks": answer.report["digest"]}
    path = space.output("budget")
    write_report(path, report)
    return Made({"budget": path}, report)
