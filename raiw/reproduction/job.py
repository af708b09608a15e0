"""The reproduction that a job asks for."""

from raiw.jobs.reproduce import ReproduceJob
from raiw.jobs.workspace import Made, Workspace, write_report
from raiw.reproduction.registry import item


def run(job: ReproduceJob, space: Workspace) -> Made:
    """Compute the rows of every item asked for."""
    report = {}
    for done, name in enumerate(job.items):
        space.progress(done, job.total, step=name)
        report[name] = [row.to_json() for row in item(name).run()]
    path = space.output("reproduction")
    write_report(path, report)
    return Made({"reproduction": path}, report)
