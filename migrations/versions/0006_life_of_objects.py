"""When masks and blobs were last used, whether they are pinned, and what finds who names a file."""

import re
import zlib
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
older_code_works = False

DIGEST = re.compile("sha256:[0-9a-f]{64}")
UNFINISHED = (
    "SELECT jobs.id, jobs.importance, requests.packed FROM jobs "
    "JOIN requests ON requests.digest = jobs.request WHERE jobs.finished_at IS NULL"
)
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
    op.add_column("jobs", sa.Column("needs", sa.Text(), nullable=False, server_default=""))
    for job_id, importance, packed in op.get_bind().execute(sa.text(UNFINISHED)).all():
        asked = f"{importance or ''} {zlib.decompress(packed).decode()}"
        needs = " ".join(sorted(set(DIGEST.findall(asked))))
        noted = sa.text("UPDATE jobs SET needs = :needs WHERE id = :id")
        op.execute(noted.bindparams(needs=needs, id=job_id))


def downgrade() -> None:
    op.drop_column("jobs", "needs")
    for table, column in INDEXES.items():
        op.drop_index(op.f(f"ix_{table}_{column}"), table_name=table)
    op.drop_column("masks", "removed_at")
    for table in ("masks", "blobs"):
        op.drop_index(op.f(f"ix_{table}_used_at"), table_name=table)
        op.drop_column(table, "pinned")
        op.drop_column(table, "used_at")
