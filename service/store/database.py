"""The engine and its kinds of transaction, the same on SQLite and PostgreSQL."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import ColumnElement, func, make_url, select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import InstrumentedAttribute, Session, sessionmaker
from sqlalchemy.pool import NullPool, QueuePool

from service.settings import Settings
from service.store.engines import GLANCE, Patience, open_engine, ping_the_rested
from service.store.records import Timestamp
from service.store.sound import Sound

AWAY = (OperationalError, InterfaceError, PoolTimeout)
"""What a locked, silent, restarting or lost database raises: the same call may succeed later."""
CLOCK = func.clock_timestamp(type_=Timestamp())
"""The database's own clock: leases of many hosts are judged by one clock."""
_NOW = select(CLOCK)
_MOST_CONNECTIONS = 15


class Database:
    """A pool of connections, used through :meth:`read`, :meth:`write` and :meth:`glance`.

    Parameters
    ----------
    settings
        Name the database.
    patience
        Instead of that of ordinary work.
    awaited
        For :func:`service.store.engines.run_awaited`: while a statement runs, the event loop goes
        on. Only of PostgreSQL.
    """

    def __init__(
        self, settings: Settings, patience: Patience | None = None, *, awaited: bool = False
    ) -> None:
        url = make_url(settings.database)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        patience = patience or Patience.of(settings)
        # None beyond the pool: connections that come and go cost more than what they are used for.
        pool = {"pool_size": _MOST_CONNECTIONS, "max_overflow": 0, "pool_use_lifo": True}
        self.engine = open_engine(
            url, patience, awaited=awaited, pool_timeout=patience.connect, **pool
        )
        ping_the_rested(self.engine)
        self._glances = open_engine(url, GLANCE, poolclass=NullPool)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        autocommit = {} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._lookers = sessionmaker(self.engine.execution_options(**autocommit))
        self._lock_seconds = patience.lock
        self._writer = threading.Lock()
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
        with self._turn(), self._sessions() as session:
            session.connection(execution_options={"raiw_write": True})
            yield session
            session.commit()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one thread at a time ask SQLite for its write lock.

        SQLite has no line of its own: who finds the lock taken sleeps for up to 0.1 s and looks
        again, so that among many some wait for seconds.
        """
        taken = self.is_sqlite and self._writer.acquire(timeout=self._lock_seconds)
        try:
            yield  # without the turn, too, once that took too long: SQLite says what is wrong
        finally:
            if taken:
                self._writer.release()

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
