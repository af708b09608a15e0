"""Canceling a job."""

from service.contract.errors import AlreadyEnded
from service.contract.jobs import JobSummary
from service.jobs.queries import get_job
from service.jobs.services import Services
from service.logs import request_id
from service.store import jobs


def cancel(services: Services, job_id: str) -> JobSummary:
    """Cancel a queued job at once, or ask the worker of a running one to stop.

    The worker ends its process within seconds. Canceling twice is the same as once.

    Raises
    ------
    NotFound
        There is no such job.
    AlreadyEnded
        The job succeeded, failed or expired before.
    """
    job_id = get_job(services, job_id).id
    with services.database.write() as session:
        canceled = jobs.cancel(session, job_id, services.database.now(session), request_id.get())
    view = get_job(services, job_id)
    if not canceled:
        raise AlreadyEnded(f"job {job_id} has already ended: it {view.status}", status=view.status)
    return view
