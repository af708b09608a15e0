"""Alembic's chain of revisions, one for SQLite and PostgreSQL."""
