"""Moving a database to a chosen revision: a look before the step, and no loss by accident.

What a way back would lose is found by going it, and forth again, in a transaction that is rolled
back: whatever is not there afterwards would be lost, apart from what a running service makes anew.
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
from service.store.tables import CompatibilityRow, DutyRow, NetworkRow, UnitRow

BASE = "base"
"""The revision of an empty database."""
_NOT_ASKED_FOR = {
    "alembic_version",
    *(row.__tablename__ for row in (CompatibilityRow, DutyRow, NetworkRow, UnitRow)),
}
"""Tables that a running service fills by itself."""
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
    def back(self) -> "Step":
        """The way back again."""
        return Step(self.config, self.to, self.current or BASE)

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
    with rebuilding(database) as connection:
        schema = _schema(connection)
        step.run(connection)
        gone = list(_gone(schema, _schema(connection)))
        step.back.run(connection)
        left = [_count(connection, *one) for one in gone]
        connection.rollback()
    with database.engine.connect() as connection:
        there = [_count(connection, *one) for one in gone]
    return [
        f"{table}{'.' * bool(column)}{column} of {before - after} rows"
        for (table, column, _), before, after in zip(gone, there, left, strict=True)
        if before > after
    ]


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
        if name not in _NOT_ASKED_FOR
    }


def _gone(before: Schema, after: Schema) -> Iterator[tuple[str, str, str | None]]:
    """Yield the tables that are gone, and the columns of others with their defaults."""
    for name, columns in before.items():
        if name not in after:
            yield name, "", None
        else:
            for column in sorted(columns.keys() - after[name].keys()):
                yield name, column, columns[column]


def _count(connection: Connection, name: str, gone: str, default: str | None) -> int:
    """Count the rows of a table, or those where a column says anything but its default."""
    query = select(func.count()).select_from(table(name))
    if gone:
        query = query.where(column(gone).is_not(None))
    if default is not None:
        found = _QUOTED.fullmatch(default)
        query = query.where(cast(column(gone), String) != (found[1] if found else default))
    return connection.scalar(query) or 0
