"""Statements about the networks that workers have announced."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session, aliased

from service.store.tables import NetworkRow

Announced = tuple[str, Sequence[int] | None, str]
"""Name, shape of one input, and revision of a network."""

_HOSTS = 50
"""The hosts that announced last are remembered, also while no worker runs there."""


def announce(
    session: Session,
    host: str,
    networks: Iterable[Announced],
    now: datetime,
) -> None:
    """Record the networks of a host instead of those it announced before.

    Hosts beyond the last fifty are forgotten.
    """
    session.execute(delete(NetworkRow).where(NetworkRow.host == host))
    rows = [
        {
            "host": host,
            "name": name,
            "input_shape": shape,
            "revision": revision,
            "announced_at": now,
        }
        for name, shape, revision in networks
    ]
    if rows:
        session.execute(insert(NetworkRow), rows)
    last = func.max(NetworkRow.announced_at)
    hosts = select(NetworkRow.host).group_by(NetworkRow.host).order_by(last.desc())
    forgotten = session.scalars(hosts.offset(_HOSTS)).all()
    session.execute(delete(NetworkRow).where(NetworkRow.host.in_(forgotten)))


def find(session: Session, name: str, revision: str | None = None) -> NetworkRow | None:
    """Return the network of a name that was announced last, of one revision where it is given."""
    named = select(NetworkRow).where(NetworkRow.name == name)
    if revision is not None:
        named = named.where(NetworkRow.revision == revision)
    return session.scalars(named.order_by(NetworkRow.announced_at.desc()).limit(1)).first()


def names(session: Session) -> list[str]:
    """Return every name that was announced."""
    return [*session.scalars(select(NetworkRow.name).distinct().order_by(NetworkRow.name))]


def page(session: Session, after: str, limit: int) -> list[NetworkRow]:
    """Return the networks whose names follow ``after``, each as it was announced last."""
    order = func.row_number().over(
        partition_by=NetworkRow.name, order_by=NetworkRow.announced_at.desc()
    )
    numbered = select(NetworkRow, order.label("place")).where(NetworkRow.name > after).subquery()
    newest = aliased(NetworkRow, numbered)
    chosen = select(newest).where(numbered.c.place == 1).order_by(newest.name).limit(limit)
    return [*session.scalars(chosen)]
