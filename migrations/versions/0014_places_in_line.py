"""The messages of an owner go by the age of their jobs, so that one put back keeps its place."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None
older_code_works = True

OLD = ["queue", "owner_id", "rank", "id"]
NEW = ["queue", "owner_id", "rank", "created_at", "id"]


def upgrade() -> None:
    _replace(OLD, NEW)


def downgrade() -> None:
    _replace(NEW, OLD)


def _replace(old: list[str], new: list[str]) -> None:
    op.drop_index(f"ix_outbox_{'_'.join(old)}", table_name="outbox")
    op.create_index(f"ix_outbox_{'_'.join(new)}", "outbox", new)
