"""Bringing a database to the newest revision."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

import migrations
from raiw.errors import Unreachable
from service.contract.errors import Busy
from service.settings import Settings
from service.store.database import Database


def migrate(settings: Settings) -> None:
    """Bring the database of a deployment to the newest revision; an empty one is created.

    Raises
    ------
    Unreachable
        The database does not answer.
    """
    database = Database(settings)
    try:
        upgrade(database)
    except OperationalError as error:
        raise Unreachable(
            f"the database {database.engine.url!r} does not answer: {error.orig}"
        ) from None
    finally:
        database.close()


def upgrade(database: Database, revision: str = "head") -> None:
    """Run the missing revisions, all in one transaction; several hosts may do so at once."""
    with database.engine.connect().execution_options(raiw_write=True) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def downgrade(database: Database, revision: str) -> None:
    """Undo revisions down to the one given; ``base`` undoes all."""
    with database.engine.connect().execution_options(raiw_write=True) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        connection.commit()


def is_current(database: Database) -> bool:
    """Whether the database stands at the newest revision.

    Raises
    ------
    Busy
        The database does not answer.
    """
    head = ScriptDirectory.from_config(_config()).get_current_head()
    try:
        with database.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() == head
    except OperationalError:
        raise Busy("the database does not answer") from None


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config
