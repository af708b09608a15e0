"""Owners, their keys, and whose every job and upload is."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
older_code_works = False  # it would join jobs of others

LOCAL = "local"
MOMENT = sa.DateTime(timezone=True)
OWNERS = sa.table("owners", sa.column("id"), sa.column("name"), sa.column("created_at", MOMENT))
ACTIVE = sa.text("status IN ('queued', 'running')")


def upgrade() -> None:
    op.create_table(
        "owners",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_owners")),
        sa.UniqueConstraint("name", name=op.f("uq_owners_name")),
    )
    now = datetime.now(UTC)
    op.execute(OWNERS.insert().values(id=LOCAL, name=LOCAL, created_at=now))
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("replaces", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_keys_owner_id_owners")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
    )
    op.create_index(op.f("ix_keys_owner_id"), "keys", ["owner_id"])
    for table in ("jobs", "uploads"):
        _give_owner(table)
    op.create_index(op.f("ix_uploads_owner_id"), "uploads", ["owner_id"])
    op.drop_index("ix_jobs_created_at_id", table_name="jobs")
    op.create_index("ix_jobs_owner_id_created_at_id", "jobs", ["owner_id", "created_at", "id"])
    op.drop_index("uq_jobs_content_key_active", table_name="jobs")
    _one_active("uq_jobs_owner_id_content_key_active", "owner_id", "content_key")


def downgrade() -> None:
    op.drop_index("uq_jobs_owner_id_content_key_active", table_name="jobs")
    _one_active("uq_jobs_content_key_active", "content_key")
    op.drop_index("ix_jobs_owner_id_created_at_id", table_name="jobs")
    op.create_index("ix_jobs_created_at_id", "jobs", ["created_at", "id"])
    op.drop_index(op.f("ix_uploads_owner_id"), table_name="uploads")
    for table in ("uploads", "jobs"):
        if op.get_bind().dialect.name == "postgresql":
            op.drop_constraint(op.f(f"fk_{table}_owner_id_owners"), table)
        op.drop_column(table, "owner_id")
    op.drop_table("keys")
    op.drop_table("owners")


def _give_owner(table) -> None:
    op.execute(
        f"ALTER TABLE {table} ADD COLUMN owner_id VARCHAR(40) DEFAULT '{LOCAL}' NOT NULL "
        f"CONSTRAINT fk_{table}_owner_id_owners REFERENCES owners (id)"
    )


def _one_active(name, *columns) -> None:
    op.create_index(
        name, "jobs", columns, unique=True, sqlite_where=ACTIVE, postgresql_where=ACTIVE
    )
