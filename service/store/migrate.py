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

import migrations
from raiw.errors import InvalidInput, Unreachable
from service.contract.errors import Busy, UnfitDatabase
from service.settings import Settings
from service.store import revisions
from service.store.database import AWAY, Database
from service.store.engines import Patience
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
    with _opened(settings) as database:
        with database.engine.connect() as connection:
            _require_utf8(connection)
            newer = _newer(connection)
        if newer is not None:
            return f"{newer}; this version can use it, and nothing was changed"
        upgrade(database)
    return "the database is at the newest revision"


def move(settings: Settings, to: str, *, force: bool, dry_run: bool) -> list[str]:
    """Bring the database of a deployment to a revision, forward or back.

    A step back that would lose something is not taken, unless ``force`` says so; with ``dry_run``
    none is, and the statements are returned.

    Returns
    -------
    list of str
        What was done, as a sentence, or the statements of a rehearsal.

    Raises
    ------
    Unreachable
        The database does not answer.
    UnfitDatabase
        Its encoding is not UTF-8, or a newer version of raiw has changed it.
    InvalidInput
        There is no such revision, or a step back would lose something.
    """
    with _opened(settings) as database:
        with database.engine.connect() as connection:
            _require_utf8(connection)
            if (newer := _newer(connection)) is not None:
                raise UnfitDatabase(f"{newer}: move it with the version that knows its revision")
            step = revisions.step(_config(), _current(connection), to)
        if step.is_none:
            return [] if dry_run else [f"the database is at revision {step.to}"]
        if dry_run:
            return revisions.rehearse(database, step)
        if not force and (lost := revisions.losses(database, step)):
            raise InvalidInput(
                f"going back to revision {step.to} would lose {', '.join(lost)}: take a backup "
                f"(raiw backup), then say --force"
            )
        revisions.take(database, step)
    return [f"the database is at revision {step.to}"]


def pending(settings: Settings) -> list[str]:
    """Return the revisions that a database lacks, oldest first.

    Raises
    ------
    Unreachable
        The database does not answer.
    UnfitDatabase
        A newer version of raiw has changed it, and this one cannot use it.
    """
    with _opened(settings) as database, database.engine.connect() as connection:
        if _newer(connection) is not None:
            return []
        scripts = ScriptDirectory.from_config(_config())
        chain = scripts.iterate_revisions("head", _current(connection) or "base")
        return [script.revision for script in chain][::-1]


def upgrade_known(database: Database) -> None:
    """Bring a database to the newest revision.

    Raises
    ------
    UnfitDatabase
        It is at a revision that this version does not know.
    """
    with database.engine.connect() as connection:
        if (newer := _newer(connection)) is not None:
            raise UnfitDatabase(f"{newer}: use the version that wrote it, or a later one")
    upgrade(database)


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    """Open a database for migrations, which may take long but must not block others on a lock."""
    ordinary = Patience.of(settings)
    database = Database(settings, Patience(ordinary.connect, ordinary.lock, statement=0))
    try:
        yield database
    except AWAY as error:
        raise Unreachable(
            f"the database {database.engine.url!r} does not answer: {getattr(error, 'orig', error)}"
        ) from None
    finally:
        database.close()


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the missing revisions, all in one transaction; several hosts may do so at once."""
    with revisions.rebuilding(database) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(database: Database, revision: str) -> None:
    """Undo revisions down to the one given; ``base`` undoes all."""
    with revisions.rebuilding(database) as connection:
        command.downgrade(_config(connection), revision)


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


def require_newest(database: Database) -> str:
    """Make sure that the tables are those of this version; return their revision.

    Raises
    ------
    UnfitDatabase
        A newer version has changed them, though in a way that this one can live with.
    """
    with database.engine.connect() as connection:
        if (newer := _newer(connection)) is not None:
            raise UnfitDatabase(f"{newer}: only that version knows all that is there")
        return _current(connection) or ""


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
