"""Turns and priorities of jobs, quotas of owners, and requests that are answered once."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
older_code_works = True  # what it writes counts as local, of normal priority, and has no key

LOCAL = "local"
NORMAL = "1"
BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
QUOTAS = ("quota_jobs", "quota_bytes", "quota_cells")
HELPED = sa.text("helps IS NOT NULL AND artifact IS NULL")


def upgrade() -> None:
    for quota in QUOTAS:
        op.add_column("owners", sa.Column(quota, BIG, nullable=True))
    for table in ("jobs", "outbox"):
        rank = sa.Column("rank", sa.Integer(), nullable=False, server_default=NORMAL)
        op.add_column(table, rank)
    owner = sa.Column("owner_id", sa.String(40), nullable=False, server_default=LOCAL)
    op.add_column("outbox", owner)
    op.execute(
        "UPDATE outbox SET owner_id = (SELECT owner_id FROM jobs WHERE jobs.id = outbox.argument) "
        "WHERE EXISTS (SELECT 1 FROM jobs WHERE jobs.id = outbox.argument)"
    )
    op.drop_index("ix_outbox_queue_id", table_name="outbox")
    columns = ["queue", "owner_id", "rank", "id"]
    op.create_index("ix_outbox_queue_owner_id_rank_id", "outbox", columns)
    op.add_column("units", sa.Column("helps", sa.String(40), nullable=True))
    op.create_index(
        "ix_units_helped", "units", ["helps"], sqlite_where=HELPED, postgresql_where=HELPED
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("request", sa.String(71), nullable=False),
        sa.Column("made", sa.String(40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["owners.id"], name=op.f("fk_idempotency_keys_owner_id_owners")
        ),
        sa.PrimaryKeyConstraint("owner_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])


def downgrade() -> None:
    op.drop_table("idempotency_keys")
    op.drop_index("ix_units_helped", table_name="units")
    op.drop_column("units", "helps")
    op.drop_index("ix_outbox_queue_owner_id_rank_id", table_name="outbox")
    op.create_index("ix_outbox_queue_id", "outbox", ["queue", "id"])
    op.drop_column("outbox", "owner_id")
    for table in ("outbox", "jobs"):
        op.drop_column(table, "rank")
    for quota in QUOTAS:
        op.drop_column("owners", quota)
