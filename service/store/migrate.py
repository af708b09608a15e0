"""Bringing a database to the newest revision, and telling whether it is there.

A migration that sets ``older_code_works = True`` promises that code of the previous revision still
works with its tables, as it does if only tables, or columns with defaults, were added. The database
records the oldest revision whose code may use it, so that a server which does not know the
database's revision still knows whether it may serve.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, delete, insert, inspect, select
from sqlalchemy.exc import IntegrityError

import migrations
from raiw.errors import Unreachable
from service.contract.errors import Busy, UnfitDatabase
from service.settings import Settings
from service.store.database import AWAY, Database, Patience
from service.store.tables import CompatibilityRow


def migrate(settings: Settings) -> str:
    """Bring the database of a deployment to the newest revision; an empty one is created.

    Returns
    -------
    str
        What was done, as a sentence.

    Raises
    ------
    Unreachable
        The database does not answer.
    UnfitDatabase
        Its encoding is not UTF-8, or a newer version of raiw has changed it.
    """
    ordinary = Patience.of(settings)
    # A migration may take long, but must not block others on a lock.
    database = Database(settings, Patience(ordinary.connect, ordinary.lock, statement=0))
    try:
        with database.engine.connect() as connection:
            _require_utf8(connection)
            newer = _newer(connection)
        if newer is not None:
            return f"{newer}; this version can use it, and nothing was changed"
        upgrade(database)
    except AWAY as error:
        raise Unreachable(
            f"the database {database.engine.url!r} does not answer: {getattr(error, 'orig', error)}"
        ) from None
    finally:
        database.close()
    return "the database is at the newest revision"


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the missing revisions, all in one transaction; several hosts may do so at once."""
    with _rebuilding(database) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(database: Database, revision: str) -> None:
    """Undo revisions down to the one given; ``base`` undoes all."""
    with _rebuilding(database) as connection:
        command.downgrade(_config(connection), revision)


@contextmanager
def _rebuilding(database: Database) -> Iterator[Connection]:
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


def note_compatibility(connection: Connection) -> None:
    """Record which code may use the tables as they are now."""
    if not inspect(connection).has_table(CompatibilityRow.__tablename__):
        return
    scripts = ScriptDirectory.from_config(_config())
    chain = scripts.iterate_revisions(_current(connection), "base")
    oldest = next(
        script.revision for script in chain if not getattr(script.module, "older_code_works", False)
    )
    connection.execute(delete(CompatibilityRow))
    connection.execute(insert(CompatibilityRow).values(oldest=oldest))


def require_compatible(database: Database) -> None:
    """Make sure that the database's revision is the newest, or a newer one that may be used.

    Raises
    ------
    Busy
        The database does not answer, or needs ``raiw migrate``.
    UnfitDatabase
        A newer version of raiw has changed it.
    """
    try:
        with database.glance() as session:
            connection = session.connection()
            if _newer(connection) is None and _current(connection) != _head():
                raise Busy("the database is not at the newest revision: run raiw migrate")
    except AWAY:
        raise Busy("the database does not answer") from None


def _newer(connection: Connection) -> str | None:
    """Describe the database's revision if this version does not know it; None if it does.

    Raises
    ------
    UnfitDatabase
        It may not use that revision.
    """
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    current = _current(connection)
    if current is None or current in known:
        return None
    newer = f"the database is at revision {current}, newer than {_head()} of this version of raiw"
    if inspect(connection).has_table(CompatibilityRow.__tablename__):
        oldest = connection.scalar(select(CompatibilityRow.oldest))
        if oldest in known:
            return newer
    raise UnfitDatabase(f"{newer}, which cannot use it: install the version that migrated it")


def _require_utf8(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise UnfitDatabase(
            f"the database of RAIW_DATABASE_URL is encoded in {encoding}, and raiw needs UTF8: "
            f"make one with createdb --encoding UTF8 --template template0 NAME"
        )


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.attributes["connection"] = connection
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config
