"""Jobs that craft no masks: what they were asked for, and what came of it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON(none_as_null=True)


def upgrade() -> None:
    # Added in place: a table that others refer to must not be made anew on SQLite.
    op.add_column("jobs", sa.Column("task", DOCUMENT, nullable=True))
    op.add_column("jobs", sa.Column("outcome", DOCUMENT, nullable=True))
    op.create_table(
        "outcomes",
        sa.Column("content_key", sa.String(length=71), nullable=False),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("content_key", name=op.f("pk_outcomes")),
    )


def downgrade() -> None:
    op.drop_table("outcomes")
    op.drop_column("jobs", "outcome")
    op.drop_column("jobs", "task")
