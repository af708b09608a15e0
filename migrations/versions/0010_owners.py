"""Owners, their keys, and whose everything is that is stored."""

from dataclasses import dataclass
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
BEFORE, AFTER = "fk_{}_{}_masks", "fk_{}_owner_id_{}_masks"
ACTIVE = sa.text("status IN ('queued', 'running')")


@dataclass(frozen=True)
class Owned:
    """A table whose rows belong to owners."""

    name: str
    key: tuple[str, ...] = ()
    """Its primary key within an owner, if owners may have equal ones."""
    of_masks: tuple[str, str | None] | None = None
    """The column that refers to masks, and what becomes of a row once they are removed."""


MADE_BY = """DELETE FROM {0} WHERE EXISTS (SELECT 1 FROM {0} AS other
    WHERE other.{1} = {0}.{1} AND other.owner_id < {0}.owner_id)"""
EQUAL = (
    # Bytes that were removed are worth less than those that are there.
    """DELETE FROM masks WHERE EXISTS (SELECT 1 FROM masks AS other
    WHERE other.digest = masks.digest AND other.owner_id <> masks.owner_id AND (
        (other.removed_at IS NULL AND masks.removed_at IS NOT NULL)
        OR ((other.removed_at IS NULL) = (masks.removed_at IS NULL)
            AND other.owner_id < masks.owner_id)))""",
    """DELETE FROM mask_chunks WHERE NOT EXISTS (SELECT 1 FROM masks
    WHERE masks.digest = mask_chunks.digest AND masks.owner_id = mask_chunks.owner_id)""",
    MADE_BY.format("results", "content_key"),
    MADE_BY.format("outcomes", "content_key"),
    MADE_BY.format("blobs", "digest"),
    """UPDATE jobs SET status = 'canceled', finished_at = created_at, lease_owner = NULL,
    lease_expires_at = NULL WHERE status IN ('queued', 'running') AND EXISTS (
        SELECT 1 FROM jobs AS other WHERE other.content_key = jobs.content_key
        AND other.status IN ('queued', 'running') AND other.id < jobs.id)""",
)
"""What makes the keys of rows unique again once they have no owner."""

OWNED = (
    Owned("masks", ("digest",)),
    Owned("mask_chunks", ("digest", "number"), ("digest", "CASCADE")),
    Owned("results", ("content_key",), ("mask_digest", "CASCADE")),
    Owned("outcomes", ("content_key",)),
    Owned("blobs", ("digest",)),
    Owned("uploads"),
    Owned("jobs", of_masks=("mask_digest", None)),
)


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
        sa.Column("sealed_by", sa.String(length=16), nullable=False),
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
    op.create_index("ix_keys_created_at_id", "keys", ["created_at", "id"])
    op.drop_index("ix_jobs_created_at_id", table_name="jobs")
    op.drop_index("uq_jobs_content_key_active", table_name="jobs")
    op.drop_index("ix_masks_created_at_digest", table_name="masks")
    _free_masks(BEFORE)
    for table in OWNED:
        owner = sa.Column("owner_id", sa.String(40), nullable=False, server_default=LOCAL)
        op.add_column(table.name, owner)
        with op.batch_alter_table(table.name) as batch:
            _change_key(batch, table, ("owner_id", *table.key))
            batch.create_foreign_key(
                f"fk_{table.name}_owner_id_owners", "owners", ["owner_id"], ["id"]
            )
            _refer_to_masks(batch, table, BEFORE, AFTER, ["owner_id"])
    op.create_index(op.f("ix_uploads_owner_id"), "uploads", ["owner_id"])
    _index_jobs("owner_id_", ["owner_id"])
    columns = ["owner_id", "created_at", "digest"]
    op.create_index("ix_masks_owner_id_created_at_digest", "masks", columns)


def downgrade() -> None:
    """Give everything to everybody; of what several owners have, one remains."""
    _free_masks(AFTER)
    for statement in EQUAL:
        op.execute(statement)
    op.drop_index("ix_masks_owner_id_created_at_digest", table_name="masks")
    op.drop_index("uq_jobs_owner_id_content_key_active", table_name="jobs")
    op.drop_index("ix_jobs_owner_id_created_at_id", table_name="jobs")
    op.drop_index(op.f("ix_uploads_owner_id"), table_name="uploads")
    for table in OWNED:
        with op.batch_alter_table(table.name) as batch:
            _change_key(batch, table, table.key)
            batch.drop_constraint(f"fk_{table.name}_owner_id_owners", type_="foreignkey")
            batch.drop_column("owner_id")
            _refer_to_masks(batch, table, AFTER, BEFORE, [])
    op.create_index("ix_masks_created_at_digest", "masks", ["created_at", "digest"])
    _index_jobs("", [])
    op.drop_table("keys")
    op.drop_table("owners")


def _free_masks(name) -> None:
    """Drop what refers to masks, so that their key can change; SQLite makes the tables anew."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in OWNED:
        if table.of_masks:
            op.drop_constraint(name.format(table.name, table.of_masks[0]), table.name)


def _change_key(batch, table, columns) -> None:
    if table.key:
        batch.drop_constraint(f"pk_{table.name}", type_="primary")
        batch.create_primary_key(f"pk_{table.name}", columns)


def _refer_to_masks(batch, table, before, after, owner) -> None:
    if not table.of_masks:
        return
    column, gone = table.of_masks
    if op.get_bind().dialect.name == "sqlite":
        batch.drop_constraint(before.format(table.name, column), type_="foreignkey")
    batch.create_foreign_key(
        after.format(table.name, column),
        "masks",
        [*owner, column],
        [*owner, "digest"],
        ondelete=gone,
    )


def _index_jobs(named, owner) -> None:
    op.create_index(f"ix_jobs_{named}created_at_id", "jobs", [*owner, "created_at", "id"])
    op.create_index(
        f"uq_jobs_{named}content_key_active",
        "jobs",
        [*owner, "content_key"],
        unique=True,
        sqlite_where=ACTIVE,
        postgresql_where=ACTIVE,
    )
