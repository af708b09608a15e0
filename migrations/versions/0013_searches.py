"""A schema for the tables of Optuna, which shows the trials of searches."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
older_code_works = True


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SCHEMA IF NOT EXISTS optuna")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP SCHEMA IF EXISTS optuna CASCADE")
