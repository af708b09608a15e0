"""What jobs were asked for: canonical JSON, compressed, named by its digest and stored once."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from raiw.canonical import canonical_json, digest_of
from service.store.database import Database
from service.store.tables import JobRow, RequestRow

_LEVEL = 1
"""Specs are repetitive: the quickest level makes them 20 times smaller, the slowest 25."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A document ready to be stored."""

    digest: str
    data: bytes

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Packed":
        """Compress a document."""
        text = canonical_json(document).encode()
        return cls(digest_of(text), zlib.compress(text, _LEVEL))


def add(session: Session, packed: Packed) -> str:
    """Store a document unless it is already stored; return its digest."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = insert(RequestRow).values(digest=packed.digest, packed=packed.data)
    session.execute(row.on_conflict_do_nothing())
    return packed.digest


def read(database: Database, job_id: str) -> dict[str, Any]:
    """Return what a job was asked for, to the worker that has it."""
    with database.read() as session:
        packed = session.scalar(select(RequestRow.packed).join(JobRow).where(JobRow.id == job_id))
    assert packed is not None  # noqa: S101 -- only jobs that have ended are removed
    document: dict[str, Any] = json.loads(zlib.decompress(packed))
    return document


def forget(session: Session, digests: Sequence[str]) -> None:
    """Remove the documents that no job refers to any more."""
    used = exists().where(JobRow.request == RequestRow.digest)
    session.execute(delete(RequestRow).where(RequestRow.digest.in_(digests), ~used))
