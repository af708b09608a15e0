"""The engine and its two kinds of transaction, the same on SQLite and PostgreSQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from service.settings import Settings
from service.store.sound import Sound

LOCK_SECONDS = 10
"""How long a statement waits for another's lock before the answer is 503."""
AWAY = (OperationalError, InterfaceError, PoolTimeout)
"""What a database that is locked, restarting or gone raises: the same may succeed later."""


class Database:
    """A pool of connections; :meth:`read` and :meth:`write` are the only ways in."""

    def __init__(self, settings: Settings) -> None:
        url = make_url(settings.database)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self.sound = Sound()
        """Files kept in rows."""

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session for queries; nothing is committed."""
        with self._sessions() as session:
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

    def now(self, session: Session) -> datetime:
        """Return the database's own clock: leases of many hosts are judged by one clock."""
        if self.is_sqlite:
            return datetime.now(UTC)
        moment: datetime = session.scalars(select(func.clock_timestamp())).one()
        return moment.astimezone(UTC)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _sqlite_engine(url: URL) -> Engine:
    """WAL, so that readers never wait; FULL, because an accepted job must survive a power cut."""
    engine = create_engine(url, connect_args={"timeout": LOCK_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, see below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("raiw_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgres_engine(url: URL) -> Engine:
    milliseconds = LOCK_SECONDS * 1000
    return create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": LOCK_SECONDS,
            "application_name": "raiw",
            "options": f"-c lock_timeout={milliseconds} -c timezone=UTC",
        },
    )
