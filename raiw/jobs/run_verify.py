"""Verification of masks."""

from raiw.jobs.verify import VerifyJob
from raiw.jobs.workspace import Made, Workspace, write_report
from raiw.verification import verify


def run(job: VerifyJob, space: Workspace) -> Made:
    """Check masks; faults that are found stand in the report."""
    source = job.masks or job.file
    assert source is not None  # noqa: S101 -- the document was checked
    importance = None if job.importance is None else space.file(job.importance)
    report = verify(space.file(source), job.spec, importance).to_json()
    path = space.output("verification")
    write_report(path, report)
    return Made({"verification": path}, report)
