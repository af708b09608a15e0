"""The engines of SQLAlchemy for the databases there may be: how long they wait, what they set."""

import math
import sqlite3
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn

from service.settings import Settings

BINARY = "raiw_binary"
"""Execution option of a statement that yields many bytes: PostgreSQL sends them as they are, not as
hexadecimal text."""
_Given = TypeVar("_Given")
_FRESH_SECONDS = 1.0
_POSTGRES = {"isolation_level": "READ COMMITTED"}


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a database has for each step; 0 for ``statement`` sets no limit."""

    connect: float
    """To accept a connection, or to answer on a silent one."""
    lock: float
    """To get a lock that another transaction holds."""
    statement: float
    """To run a statement; a transaction may be idle for as long."""

    @classmethod
    def of(cls, settings: Settings) -> "Patience":
        """Return that of ordinary work."""
        return cls(
            settings.database_connect_seconds,
            settings.database_lock_seconds,
            settings.database_statement_seconds,
        )


GLANCE = Patience(connect=2, lock=2, statement=2)
"""That of whoever must not wait."""


def open_engine(url: URL, patience: Patience, *, awaited: bool = False, **pool: Any) -> Engine:
    """Return the engine of a database; an ``awaited`` one is for :func:`run_awaited`."""
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, patience, **pool)
    return _awaited_engine(url, patience, **pool) if awaited else _engine(url, patience, **pool)


async def run_awaited(use: Callable[[], _Given]) -> _Given:
    """Run what uses an awaited engine: at each statement the event loop goes on with others."""
    return await greenlet_spawn(use)


def ping_the_rested(engine: Engine) -> None:
    """Try a connection that has rested before it is used, and replace it if it is dead.

    One that was used a moment ago is not tried: a ping costs as much as a query.
    """

    @event.listens_for(engine, "checkin")
    def _rest(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _ping(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        rested = time.monotonic() - record.info.get("rests_since", math.inf)
        if rested > _FRESH_SECONDS and not _answers(engine, connection):
            raise InvalidatePoolError


def _answers(engine: Engine, connection: Any) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error:
        return False


def _sqlite_engine(url: URL, patience: Patience, **pool: Any) -> Engine:
    """WAL, so that readers never wait; FULL, because an accepted job must survive a power cut."""
    engine = create_engine(url, connect_args={"timeout": patience.lock}, **pool)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, see below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("clock_timestamp", 0, _sqlite_now)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("raiw_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _sqlite_now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _engine(url: URL, patience: Patience, **pool: Any) -> Engine:
    engine = create_engine(url, connect_args=_arguments(url, patience), **_POSTGRES, **pool)

    @event.listens_for(engine, "before_cursor_execute")
    def _binary(_connection: Any, cursor: Any, *others: Any) -> None:
        context = others[2]
        if context is not None and context.execution_options.get(BINARY):
            cursor.format = psycopg.pq.Format.BINARY

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, args: Any, parameters: Any) -> "_Connection":
        connection = _Connection.connect(*args, **parameters)
        connection.patience = patience
        return connection

    return engine


def _awaited_engine(url: URL, patience: Patience, **pool: Any) -> Engine:
    async def connect(*args: Any, **parameters: Any) -> "_AwaitedConnection":
        connection = await _AwaitedConnection.connect(*args, **parameters)
        connection.patience = patience
        return connection

    arguments = _arguments(url, patience) | {"async_creator_fn": connect}
    return create_async_engine(url, connect_args=arguments, **_POSTGRES, **pool).sync_engine


def _arguments(url: URL, patience: Patience) -> dict[str, Any]:
    """Let every wait end: by the server if it answers, else by the kernel or this process."""
    limits = {
        "statement_timeout": patience.statement,
        "idle_in_transaction_session_timeout": patience.statement,
        "lock_timeout": patience.lock,
    }
    options = [f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items()]
    seconds = max(1, round(patience.connect))
    arguments: dict[str, Any] = {
        "connect_timeout": seconds,
        # A host that vanished: its connection counts as dead after the same time.
        "keepalives_idle": seconds,
        "keepalives_interval": max(1, seconds // 3),
        "keepalives_count": 3,
        "tcp_user_timeout": seconds * 1000,
        "application_name": "raiw",
        "client_encoding": "utf8",
    }
    # What the URL says takes precedence.
    own = {name: value for name, value in arguments.items() if name not in url.query}
    own["options"] = " ".join([*options, "-c timezone=UTC", *_texts(url, "options")])
    return own


def _texts(url: URL, name: str) -> tuple[str, ...]:
    value = url.query.get(name, ())
    return (value,) if isinstance(value, str) else value


class _Bounded:
    """A connection that gives up on a frozen server.

    The session's limits are enforced by the server, and a host's kernel still acknowledges for
    stopped processes.
    """

    patience = Patience(0, 0, 0)
    pgconn: psycopg.pq.abc.PGconn

    def bounded(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Take the steps of a statement, as long as there is time."""
        if not self.patience.statement:
            return (yield from steps)
        seconds = self.patience.statement + self.patience.connect
        ends = time.monotonic() + seconds
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if time.monotonic() > ends:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {seconds:g} s")
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value


class _Connection(_Bounded, psycopg.Connection[Any]):
    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Wait for a statement."""
        return super().wait(self.bounded(gen), *args, **options)


class _AwaitedConnection(_Bounded, psycopg.AsyncConnection[Any]):
    async def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Wait for a statement."""
        return await super().wait(self.bounded(gen), *args, **options)
