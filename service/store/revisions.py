"""Moving a database to a chosen revision: a look before the step, and no loss by accident.

A migration names in ``carried_down`` the tables and columns (``table.column``) that its downgrade
loses though they can be had again: it puts their content elsewhere, or the next upgrade or job
makes it anew. Whatever else a downgrade would drop counts as lost if it holds anything.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, String, cast, column, event, func, inspect, select, table
from sqlalchemy.exc import IntegrityError

from raiw.errors import InvalidInput
from raiw.names import nearest
from service.store.database import Database
from service.store.tables import CompatibilityRow

BASE = "base"
"""The revision of an empty database."""
_OURS = {CompatibilityRow.__tablename__, "alembic_version"}
_LOOKS = re.compile(r"\s*(SELECT|PRAGMA|SHOW|SET|EXPLAIN|BEGIN|SAVEPOINT|RELEASE)\b", re.IGNORECASE)
_QUOTED = re.compile(r"'(.*)'(::.*)?", re.DOTALL)

Schema = dict[str, dict[str, str | None]]
"""Tables, their columns, and the default of each column."""


@dataclass(frozen=True, slots=True)
class Step:
    """The way from the revision of a database to another one."""

    config: Config
    current: str | None
    to: str

    @property
    def is_down(self) -> bool:
        """Whether revisions are undone."""
        return self.to == BASE or self.to not in self._chain("head", self.current or BASE)

    @property
    def is_none(self) -> bool:
        """Whether the database is there already."""
        return self.to == (self.current or BASE)

    @property
    def undone(self) -> list[str]:
        """The revisions that a downgrade undoes, newest first."""
        return self._chain(self.current or BASE, self.to)

    def run(self, connection: Connection) -> None:
        """Take the step, and leave it to the caller to commit it."""
        if not connection.in_transaction():
            connection.begin()  # otherwise migrations commit by themselves
        self.config.attributes["connection"] = connection
        (command.downgrade if self.is_down else command.upgrade)(self.config, self.to)

    def _chain(self, upper: str, lower: str) -> list[str]:
        scripts = ScriptDirectory.from_config(self.config)
        return [script.revision for script in scripts.iterate_revisions(upper, lower)]


def step(config: Config, current: str | None, to: str) -> Step:
    """Plan the way to a revision, ``head`` or ``base``.

    Raises
    ------
    InvalidInput
        There is no such revision.
    """
    scripts = ScriptDirectory.from_config(config)
    known = [script.revision for script in scripts.walk_revisions()][::-1]
    if to == "head":
        to = known[-1]
    if to not in (*known, BASE):
        raise InvalidInput(
            f"no revision {to!r}{nearest(to, known)}; there are {BASE}, {', '.join(known)}"
        )
    return Step(config, current, to)


def rehearse(database: Database, step: Step) -> list[str]:
    """Take a step, undo it, and return the statements that change something."""
    with rebuilding(database) as connection:
        said: list[str] = []

        def hear(_c: Any, _k: Any, statement: str, *_rest: Any) -> None:
            if not _LOOKS.match(statement):
                said.append(statement.strip())

        event.listen(connection, "before_cursor_execute", hear)
        step.run(connection)
        connection.rollback()
    return said


def losses(database: Database, step: Step) -> list[str]:
    """Return what a downgrade would lose, as ``table.column of 3 rows``."""
    if not step.is_down:
        return []
    scripts = ScriptDirectory.from_config(step.config)
    carried = {
        name
        for revision in step.undone
        for name in getattr(scripts.get_revision(revision).module, "carried_down", ())
    }
    with rebuilding(database) as connection:
        before = _schema(connection)
        step.run(connection)
        after = _schema(connection)
        connection.rollback()
    with database.engine.connect() as connection:
        return list(_lost(connection, before, after, carried))


def take(database: Database, step: Step) -> None:
    """Take a step, all of it or nothing."""
    with rebuilding(database) as connection:
        step.run(connection)


@contextmanager
def rebuilding(database: Database) -> Iterator[Connection]:
    """Open a transaction in which tables that others refer to may be made anew.

    SQLite makes a table anew by dropping the old one, which must not remove the rows that refer to
    it; whether all of them still refer to something is checked at the end.
    """
    with database.engine.connect().execution_options(raiw_write=True) as connection:
        if not database.is_sqlite:
            yield connection
            connection.commit()
            return
        raw = connection.connection.dbapi_connection
        assert raw is not None, "it has just been opened"  # noqa: S101
        raw.execute("PRAGMA foreign_keys=OFF")  # which does nothing once a transaction has begun
        try:
            yield connection
            if lost := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
                raise IntegrityError(f"{len(lost)} rows refer to nothing", None, LookupError(lost))
            connection.commit()
        finally:
            connection.rollback()
            raw.execute("PRAGMA foreign_keys=ON")


def _schema(connection: Connection) -> Schema:
    inspector = inspect(connection)
    return {
        name: {column["name"]: column["default"] for column in inspector.get_columns(name)}
        for name in inspector.get_table_names()
        if name not in _OURS
    }


def _lost(
    connection: Connection, before: Schema, after: Schema, carried: set[str]
) -> Iterator[str]:
    for name, columns in before.items():
        if name not in after:
            if name not in carried and (rows := _count(connection, name)):
                yield f"{name} of {rows} rows"
            continue
        for gone in columns.keys() - after[name].keys():
            full = f"{name}.{gone}"
            if full not in carried and (rows := _count(connection, name, gone, columns[gone])):
                yield f"{full} of {rows} rows"


def _count(
    connection: Connection, name: str, gone: str | None = None, default: str | None = None
) -> int:
    """Count the rows of a table, or those where a column says anything but its default."""
    query = select(func.count()).select_from(table(name))
    if gone is not None:
        query = query.where(column(gone).is_not(None))
        if default is not None:
            found = _QUOTED.fullmatch(default)
            query = query.where(cast(column(gone), String) != (found[1] if found else default))
    return connection.scalar(query) or 0
