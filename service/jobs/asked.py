"""What a job was asked for: its document, how it is stored, and how it is read again."""

from typing import Any

from raiw.jobs.craft import CraftJob
from raiw.jobs.document import JobDocument
from raiw.jobs.registry import find_kind
from service.store import requests
from service.store.database import Database
from service.store.tables import JobRow


def stored_form(document: JobDocument) -> dict[str, Any]:
    """Return what is stored of a document, and shown to clients as what was asked for.

    Of a craft job it is the spec alone: the digest of the scores stands with the job, and jobs of
    one spec share what is stored.
    """
    if isinstance(document, CraftJob):
        return document.spec.canonical()
    return document.model_dump(mode="json")


def document_of(database: Database, job: JobRow) -> JobDocument:
    """Return the document of a stored job.

    Raises
    ------
    InvalidInput
        A newer server has stored what this code does not know.
    """
    kind, stored = find_kind(job.kind).document, requests.read(database, job.id)
    if issubclass(kind, CraftJob):
        return kind.parse({"spec": stored, "importance": job.importance})
    return kind.parse(stored)
