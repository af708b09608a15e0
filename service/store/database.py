"""The engine and its kinds of transaction, the same on SQLite and PostgreSQL."""

import math
import sqlite3
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import InstrumentedAttribute, Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from service.settings import Settings
from service.store.records import Timestamp
from service.store.sound import Sound

AWAY = (OperationalError, InterfaceError, PoolTimeout)
"""What a locked, silent, restarting or lost database raises: the same call may succeed later."""


CLOCK = func.clock_timestamp(type_=Timestamp())
"""The database's own clock: leases of many hosts are judged by one clock."""
BINARY = "raiw_binary"
"""Execution option of a statement that yields many bytes: PostgreSQL sends them as they are, not as
hexadecimal text."""
_NOW = select(CLOCK)
_FRESH_SECONDS = 1.0
_MOST_CONNECTIONS = 15


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


class Database:
    """A pool of connections, used through :meth:`read`, :meth:`write` and :meth:`glance`."""

    def __init__(self, settings: Settings, patience: Patience | None = None) -> None:
        url = make_url(settings.database)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        make = _sqlite_engine if self.is_sqlite else _postgres_engine
        patience = patience or Patience.of(settings)
        # None beyond the pool: connections that come and go cost more than what they are used for.
        pool = {"pool_size": _MOST_CONNECTIONS, "max_overflow": 0, "pool_use_lifo": True}
        self.engine = make(url, patience, pool_timeout=patience.connect, **pool)
        _ping_the_rested(self.engine)
        self._glances = make(url, GLANCE, poolclass=NullPool)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        autocommit = {} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._lookers = sessionmaker(self.engine.execution_options(**autocommit))
        self.sound = Sound()
        """Files kept in rows."""

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session for queries; nothing is committed."""
        with self._sessions() as session:
            yield session

    @contextmanager
    def look(self) -> Iterator[Session]:
        """Open a session for statements that each stand alone, which costs fewer round trips.

        On PostgreSQL there is no transaction, so rows cannot be streamed (``yield_per``).
        """
        with self._lookers() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction; it is committed at the end of the block, rolled back on an error.

        On SQLite it takes the write lock at once, so that two writers wait instead of failing.
        """
        with self._sessions() as session:
            session.connection(execution_options={"raiw_write": True})
            yield session
            session.commit()

    @contextmanager
    def glance(self) -> Iterator[Session]:
        """Open a session on a connection of its own that gives up within seconds.

        For probes, which need an answer even while everybody waits for the pool.
        """
        with Session(self._glances) as session:
            yield session

    def now(self, session: Session) -> datetime:
        """Return the time by the database's own clock."""
        return session.scalars(_NOW).one()

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections of the pool are in use, and how many may be."""
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)  # noqa: S101 -- what both engines are made with
        return pool.checkedout(), pool.size() + pool._max_overflow  # noqa: SLF001 -- no other name

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def lock_rows(
    session: Session, key: InstrumentedAttribute[str], *where: ColumnElement[bool]
) -> Sequence[str]:
    """Lock several rows of a table before they are written, in order of key; return their keys.

    Transactions that want the same rows then wait for each other, never in a circle. Rows of
    several tables are locked in the order objects, jobs, messages. On SQLite there is one writer.
    """
    return session.scalars(select(key).where(*where).order_by(key).with_for_update()).all()


def _ping_the_rested(engine: Engine) -> None:
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


def _postgres_engine(url: URL, patience: Patience, **pool: Any) -> Engine:
    """Every wait ends: by the server if it answers, else by the kernel or this process."""
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
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED",
        connect_args=own,
        **pool,
    )

    @event.listens_for(engine, "before_cursor_execute")
    def _binary(_connection: Any, cursor: Any, *others: Any) -> None:
        context = others[2]
        if context is not None and context.execution_options.get(BINARY):
            cursor.format = psycopg.pq.Format.BINARY

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, args: Any, parameters: Any) -> "_Connection":
        connection = _Connection.connect(*args, **parameters)
        if patience.statement:
            connection.patience = patience.statement + patience.connect
        return connection

    return engine


def _texts(url: URL, name: str) -> tuple[str, ...]:
    value = url.query.get(name, ())
    return (value,) if isinstance(value, str) else value


class _Connection(psycopg.Connection[Any]):
    """A connection that gives up on a frozen server.

    The session's limits are enforced by the server, and a host's kernel still acknowledges for
    stopped processes.
    """

    patience: float = 0

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Wait for a statement."""
        return super().wait(self._bounded(gen) if self.patience else gen, *args, **options)

    def _bounded(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        ends = time.monotonic() + self.patience
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if time.monotonic() > ends:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {self.patience:g} s")
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value
