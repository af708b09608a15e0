"""Results that owners share, where the operator lets them: equal requests have equal results.

What another owner's request has led to is copied, so that each has a row of his own to pin, to use
and to remove. Nothing is ever shared by naming a digest: only by asking for the same.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store import blobs, masks, objects, results
from service.store.files.artifacts import Artifacts
from service.store.tables import BlobRow, MasksRow, OutcomeRow, ResultRow


def masks_of_others(
    session: Session, artifacts: Artifacts, owner: str, content_key: str
) -> MasksRow | None:
    """Return the masks that another owner's request of a key has led to."""
    query = select(ResultRow.owner_id, ResultRow.mask_digest)
    query = query.where(ResultRow.content_key == content_key, ResultRow.owner_id != owner)
    for other, digest in session.execute(query.order_by(ResultRow.created_at)).all():
        objects.hold(session, digest)
        if (row := masks.stored(session, artifacts, other, digest)) is not None:
            return row
    return None


def adopt_masks(
    session: Session, artifacts: Artifacts, owner: str, content_key: str, now: datetime
) -> MasksRow | None:
    """Give an owner the masks of another's equal request; None if nobody has any."""
    row = masks_of_others(session, artifacts, owner, content_key)
    if row is None:
        return None
    masks.copy(session, artifacts, row, owner, now)
    results.keep_result(session, owner, content_key, row.digest, now)
    return masks.stored(session, artifacts, owner, row.digest)


def adopt_outcome(
    session: Session, artifacts: Artifacts, owner: str, content_key: str, now: datetime
) -> dict[str, Any] | None:
    """Give an owner the files of another's equal request; None if nobody has all of them."""
    query = select(OutcomeRow).where(
        OutcomeRow.content_key == content_key, OutcomeRow.owner_id != owner
    )
    for outcome in session.scalars(query.order_by(OutcomeRow.created_at)).all():
        digests = [file["digest"] for file in outcome.document["files"]]
        objects.hold(session, *digests)
        found = [*_blobs(session, artifacts, outcome.owner_id, digests)]
        if len(found) < len(digests):
            continue
        for blob in found:
            copied = BlobRow(
                owner_id=owner,
                digest=blob.digest,
                size=blob.size,
                header=blob.header,
                created_at=now,
                used_at=now,
            )
            blobs.add(session, artifacts, copied, lambda: None)  # held, and seen to be there
        document = outcome.document
        results.keep_outcome(session, owner, content_key, document, now)
        return document
    return None


def _blobs(
    session: Session, artifacts: Artifacts, owner: str, digests: list[str]
) -> Iterator[BlobRow]:
    for digest in digests:
        if (blob := blobs.stored(session, artifacts, owner, digest)) is not None:
            yield blob
