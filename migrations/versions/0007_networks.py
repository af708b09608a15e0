"""The table of networks that workers have announced."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
older_code_works = False  # its workers would not know what jobs on networks say now

NAME = sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "networks",
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("input_shape", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("revision", sa.String(length=100), nullable=False),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("host", "name", name=op.f("pk_networks")),
    )
    op.create_index(op.f("ix_networks_name_announced_at"), "networks", ["name", "announced_at"])


def downgrade() -> None:
    op.drop_table("networks")
