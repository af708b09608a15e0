"""The table of units: shares of a large job."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "units",
        sa.Column("key", sa.String(length=71), nullable=False),
        sa.Column("artifact", sa.String(length=71), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_units")),
    )
    op.create_index(op.f("ix_units_touched_at"), "units", ["touched_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_units_touched_at"), table_name="units")
    op.drop_table("units")
