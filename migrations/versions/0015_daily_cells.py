"""Cells that an owner's jobs of a day may have together."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
older_code_works = True  # its jobs count as having none

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("owners", sa.Column("quota_daily_cells", BIG, nullable=True))
    op.add_column("jobs", sa.Column("cells", BIG, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("jobs", "cells")
    op.drop_column("owners", "quota_daily_cells")
