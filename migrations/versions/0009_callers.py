"""What everybody who asked for a job has noted, who canceled it, and the gates its masks fail."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
older_code_works = True

NOTED = {
    "sqlite": "SELECT jobs.id, 0, n.key, n.value FROM jobs, json_each(jobs.note) AS n",
    "postgresql": "SELECT jobs.id, 0, n.key, n.value FROM jobs, json_each_text(jobs.note) AS n "
    "WHERE jobs.note::text NOT LIKE '%\\u0000%'",  # which is no text to PostgreSQL
}


def upgrade() -> None:
    op.create_table(
        "job_notes",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("caller", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=512), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
            name=op.f("fk_job_notes_job_id_jobs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "caller", "name", name=op.f("pk_job_notes")),
    )
    op.create_index("ix_job_notes_name_value", "job_notes", ["name", "value"])
    op.execute(
        "INSERT INTO job_notes (job_id, caller, name, value) " + NOTED[op.get_bind().dialect.name]
    )
    op.add_column("jobs", sa.Column("canceled_by", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("jobs", sa.Column("failed_gates", sa.JSON(none_as_null=True), nullable=True))
    op.create_index("ix_masks_created_at_digest", "masks", ["created_at", "digest"])


def downgrade() -> None:
    op.drop_index("ix_masks_created_at_digest", table_name="masks")
    op.drop_column("jobs", "failed_gates")
    op.drop_column("jobs", "canceled_by")
    op.drop_table("job_notes")
