"""When masks and blobs were last used, whether they are pinned, and what finds who names a file."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
INDEXES = {
    "jobs": "mask_digest",
    "results": "mask_digest",
    "units": "artifact",
    "masks": "file_sha256",
}


def upgrade() -> None:
    now = datetime.now(UTC)
    for table in ("masks", "blobs"):
        used_at = sa.Column("used_at", MOMENT, nullable=True)
        op.add_column(table, used_at)
        op.add_column(
            table, sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        # What is here has all its time before it.
        op.execute(sa.table(table, sa.column("used_at", MOMENT)).update().values(used_at=now))
        op.create_index(op.f(f"ix_{table}_used_at"), table, ["used_at"])
    op.add_column("masks", sa.Column("removed_at", MOMENT, nullable=True))
    for table, column in INDEXES.items():
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def downgrade() -> None:
    for table, column in INDEXES.items():
        op.drop_index(op.f(f"ix_{table}_{column}"), table_name=table)
    op.drop_column("masks", "removed_at")
    for table in ("masks", "blobs"):
        op.drop_index(op.f(f"ix_{table}_used_at"), table_name=table)
        op.drop_column(table, "pinned")
        op.drop_column(table, "used_at")
