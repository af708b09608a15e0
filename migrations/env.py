"""Runs the revisions over the connection that :mod:`service.store.migrate` hands in."""

from alembic import context

import service.store.repeats
import service.store.webhook_tables  # noqa: F401 -- tables of the same metadata
from service.settings import load_settings
from service.store.database import Database
from service.store.migrate import note_compatibility
from service.store.records import Record
from service.store.revisions import rebuilding

_REVISIONS_LOCK = 0x72616977  # "raiw": one migration at a time on PostgreSQL


def run(connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Record.metadata,
        render_as_batch=True,  # SQLite cannot alter a table in place
        compare_type=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            # Another host's migration is worth waiting for; its end gives the lock back.
            patience = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_REVISIONS_LOCK})")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{patience}'")
        context.run_migrations()
        note_compatibility(connection)


connection = context.config.attributes.get("connection")
if connection is not None:
    run(connection)
else:  # the alembic command itself, as developers call it
    database = Database(load_settings())
    with rebuilding(database) as connection:
        run(connection)
    database.close()
