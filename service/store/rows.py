"""All rows of a database, copied into another one, of whichever kind both are."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Table, delete, exists, func, insert, select

import service.store.repeats
import service.store.webhook_tables  # noqa: F401 -- tables of the same metadata
from service.store.database import Database
from service.store.records import Record
from service.store.tables import (
    CompatibilityRow,
    DutyRow,
    MaskChunkRow,
    NetworkRow,
    OwnerRow,
    UnitRow,
)

_AT_A_TIME = 100
_OF_A_DEPLOYMENT = {row.__table__ for row in (CompatibilityRow, DutyRow, NetworkRow, OwnerRow)}
"""What a deployment says of itself as soon as it runs."""
_LEFT = {CompatibilityRow.__table__, DutyRow.__table__, MaskChunkRow.__table__, UnitRow.__table__}
"""What is not copied: it is made anew, or the file it belongs to is copied instead."""


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """Open a connection that sees everything as it is now, while others go on writing."""
    with database.engine.connect() as connection:
        if not database.is_sqlite:  # there every transaction does
            connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        connection.execute(select(CompatibilityRow.oldest))  # the first statement takes it
        yield connection


def copy(source: Connection, target: Connection) -> None:
    """Replace all rows by those of another database, but for those of files and units."""
    clear(target)
    streaming = source.execution_options(yield_per=_AT_A_TIME)
    for table in _tables():
        if table not in _LEFT:
            for rows in streaming.execute(select(table)).mappings().partitions():
                target.execute(insert(table), [dict(row) for row in rows])
            _count_on(target, table)


def any_rows(connection: Connection) -> bool:
    """Whether anything is stored that somebody has asked for."""
    tables = [table for table in _tables() if table not in _OF_A_DEPLOYMENT]
    return any(connection.scalar(select(exists(select(table)))) for table in tables)


def clear(connection: Connection) -> None:
    """Remove all rows but those that every migration writes."""
    for table in reversed(_tables()):
        if table is not CompatibilityRow.__table__:
            connection.execute(delete(table))


def _tables() -> list[Table]:
    """Return the tables, each after those it refers to."""
    return Record.metadata.sorted_tables


def _count_on(target: Connection, table: Table) -> None:
    """Let a table number its next row after those that were copied."""
    column = table.autoincrement_column
    if column is not None and target.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.name, column.name)
        most = select(func.max(column)).scalar_subquery()
        target.execute(select(func.setval(sequence, most)).where(most.is_not(None)))
