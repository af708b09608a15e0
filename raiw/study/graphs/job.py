"""The study that a job asks for."""

from raiw.jobs.study import StudyJob
from raiw.jobs.workspace import Made, Workspace, write_report
from raiw.study.graphs.study import study


def run(job: StudyJob, space: Workspace) -> Made:
    """Craft by every method and seed, and compare."""
    found = study(
        job.spec,
        None if job.importance is None else space.file(job.importance),
        methods=job.chosen,
        seeds=job.seeds,
        on_run=space.counting(),
    )
    report, path = found.to_json(), space.output("study")
    write_report(path, report)
    return Made({"study": path}, report)
