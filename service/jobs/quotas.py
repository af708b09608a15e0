"""Refusing what an owner may not have: jobs under way, bytes of files, cells of a job or a day."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from raiw.errors import NotFound
from raiw.jobs.document import JobDocument
from service.contract.errors import OverQuota, QuotaReached
from service.jobs.services import Services
from service.settings import Settings
from service.store import quotas
from service.store.prior import Prior
from service.store.quotas import Quotas

_PAUSE_SECONDS = 5
_ASK = "or ask the operator for more (raiw owners set)"


def defaults(settings: Settings) -> Quotas:
    """Return the quotas of owners who have none of their own."""
    return Quotas(
        settings.quota_jobs,
        settings.quota_bytes,
        settings.quota_cells,
        settings.quota_daily_cells,
    )


@dataclass(frozen=True, slots=True)
class OwnerUse:
    """What an owner has, and may have."""

    owner: str
    jobs: int
    bytes: int
    daily_cells: int
    allowed: Quotas


def accounts(services: Services) -> list[OwnerUse]:
    """Return those of all owners, by name."""
    with services.database.read() as session:
        now = services.database.now(session)
        return [
            OwnerUse(
                owner.name,
                quotas.count_jobs(session, owner.id),
                quotas.count_bytes(session, owner.id),
                quotas.count_cells(session, owner.id, now),
                quotas.of(session, owner.id, defaults(services.settings)),
            )
            for owner in quotas.owners(session)
        ]


def change(services: Services, owner: str, wanted: Mapping[str, int | None]) -> None:
    """Set quotas of an owner by name: 0 for no limit, None for that of the settings.

    Raises
    ------
    NotFound
        There is no such owner.
    """
    with services.database.write() as session:
        columns = {f"quota_{name}": limit for name, limit in wanted.items()}
        if not quotas.change(session, owner, **columns):
            raise NotFound(f"no owner {owner!r}: raiw owners ls lists them")


def cells_of(document: JobDocument) -> int:
    """Return the possible edges of what a job crafts."""
    spec = getattr(document, "spec", None)
    return sum(math.prod(layer.graph_shape) for layer in spec.layers) if spec else 0


def check_job(services: Services, session: Session, cells: int, known: Prior) -> None:
    """Make sure that an owner may have one more job, which this transaction adds.

    Raises
    ------
    OverQuota
        It has more cells than a job of his, or all of a day, may have.
    QuotaReached
        He has as many queued and running jobs, or cells in the jobs of a day, as he may have.
    """
    allowed, owner = known.own.over(defaults(services.settings)), services.owner
    most = min(filter(None, (allowed.cells, allowed.daily_cells)), default=0)
    if most and cells > most:
        raise OverQuota(
            f"the job has {cells} cells (possible edges) and may have {most}: divide the "
            f"spec into several jobs, {_ASK}",
            value=cells,
            limit=most,
        )
    if allowed.counted:
        quotas.lock(session, owner)
    under_way = quotas.count_jobs(session, owner) if allowed.jobs else 0
    if allowed.jobs and under_way >= allowed.jobs:
        raise QuotaReached(
            f"{under_way} jobs are queued or running and {allowed.jobs} may be: wait until some "
            f"have ended, cancel some, {_ASK}",
            value=under_way,
            limit=allowed.jobs,
            retry_after=_PAUSE_SECONDS,
        )
    if allowed.daily_cells:
        _check_day(session, owner, cells, allowed.daily_cells, known.now)


def _check_day(session: Session, owner: str, cells: int, most: int, now: datetime) -> None:
    taken = quotas.count_cells(session, owner, now)
    if taken + cells > most:
        free_at = quotas.free_cells_at(session, owner, now, taken + cells - most)
        seconds = max(1, math.ceil((free_at - now).total_seconds()))
        raise QuotaReached(
            f"the job has {cells} cells (possible edges), your jobs of the last 24 hours have "
            f"{taken}, and {most} are allowed together: go on in {seconds} seconds, {_ASK}",
            value=taken + cells,
            limit=most,
            retry_after=seconds,
        )


def check_bytes(services: Services, session: Session, digest: str, size: int) -> None:
    """Make sure that an owner may store a file, which this transaction announces or adds.

    Raises
    ------
    OverQuota
        His files would have more bytes than they may have.
    """
    allowed = quotas.of(session, services.owner, defaults(services.settings)).bytes
    if not allowed:
        return
    quotas.lock(session, services.owner)
    stored = quotas.count_bytes(session, services.owner, besides=digest)
    if stored + size > allowed:
        raise OverQuota(
            f"the file has {size} bytes, your files and uploads have {stored}, and {allowed} are "
            f"allowed together: remove files that you do not need (DELETE /v1/blobs/...), {_ASK}",
            value=stored + size,
            limit=allowed,
        )
