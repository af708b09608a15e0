"""What a key has led to so far, and what its owner may have: all that a submit asks, at once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, select
from sqlalchemy.orm import Session

from service.store.database import CLOCK
from service.store.quotas import OWN, Quotas
from service.store.tables import ACTIVE, JobRow, OutcomeRow, OwnerRow, ResultRow

_owners, _jobs = OwnerRow.__table__.c, JobRow.__table__.c
_results, _outcomes = ResultRow.__table__.c, OutcomeRow.__table__.c
_key: BindParameter[str] = bindparam("content_key")


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of a content key at one moment."""

    now: datetime
    """The moment, by the database's clock."""
    own: Quotas
    """The owner's, where he has his own."""
    masks: str | None
    """Digest of the masks that it has led to."""
    outcome: dict[str, Any] | None
    """Files and report that it has led to, if it is not for masks."""
    active: str | None
    """Id of the queued or running job of the key."""


# Built once: to build and compile it takes longer than to run it.
_KNOWN = select(
    CLOCK,
    *(_owners[column.key] for column in OWN),
    select(_results.mask_digest)
    .where(_results.owner_id == _owners.id, _results.content_key == _key)
    .scalar_subquery(),
    select(_outcomes.document)
    .where(_outcomes.owner_id == _owners.id, _outcomes.content_key == _key)
    .scalar_subquery(),
    select(_jobs.id)
    .where(ACTIVE, _jobs.owner_id == _owners.id, _jobs.content_key == _key)
    .scalar_subquery(),
).where(_owners.id == bindparam("owner"))


def of(session: Session, owner: str, content_key: str) -> Prior:
    """Return what is known of an owner's key."""
    row = session.execute(_KNOWN, {"owner": owner, "content_key": content_key}).one()
    now, *own, masks, outcome, active = row
    return Prior(now, Quotas(*own), masks, outcome, active)
