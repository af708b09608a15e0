"""Runs the revisions over the connection that :mod:`service.store.migrate` hands in."""

from alembic import context

from service.settings import load_settings
from service.store.database import Database
from service.store.tables import Table

_REVISIONS_LOCK = 0x72616977  # "raiw": one migration at a time on PostgreSQL


def run(connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        render_as_batch=True,  # SQLite cannot alter a table in place
        compare_type=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_REVISIONS_LOCK})")
        context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is not None:
    run(connection)
else:  # the alembic command itself, as developers call it
    database = Database(load_settings())
    with database.engine.connect() as connection:
        run(connection)
    database.close()
