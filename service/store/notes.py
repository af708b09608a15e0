"""The ``metadata`` of everybody who has asked for a job, for looking and for finding."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import JobNoteRow


def add(session: Session, job_id: str, caller: int, metadata: Mapping[str, str]) -> None:
    """Keep what a caller noted; caller 0 has made the job, the others have joined it."""
    session.add_all(
        JobNoteRow(job_id=job_id, caller=caller, name=name, value=value)
        for name, value in metadata.items()
    )


def of_others(session: Session, job_id: str) -> list[dict[str, str]]:
    """Return what those who joined a job noted, in their order."""
    rows = session.execute(
        select(JobNoteRow.caller, JobNoteRow.name, JobNoteRow.value)
        .where(JobNoteRow.job_id == job_id, JobNoteRow.caller > 0)
        .order_by(JobNoteRow.caller, JobNoteRow.name)
    )
    noted: dict[int, dict[str, str]] = {}
    for caller, name, value in rows:
        noted.setdefault(caller, {})[name] = value
    return list(noted.values())
