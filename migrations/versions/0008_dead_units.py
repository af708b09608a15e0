"""The dead units of masks in a column of their own, so that views of jobs read no document."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
older_code_works = False  # its workers would store masks without them

JSON = sa.JSON(none_as_null=True)
MASKS = sa.table(
    "masks", sa.column("digest"), sa.column("document", JSON), sa.column("dead_units", JSON)
)


def dead_units(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the code of this revision stores; a first layer may leave inputs unread."""
    found = []
    for place, layer in enumerate(layers):
        facts = layer["facts"]
        outputs, inputs = facts["unreached_outputs"], facts["unreached_inputs"] if place else 0
        if outputs or inputs:
            out, n_in = facts["shape"]
            found.append(
                {
                    "layer": layer["name"],
                    "outputs": outputs,
                    "all_outputs": out,
                    "inputs": inputs,
                    "all_inputs": n_in * facts["groups"],
                }
            )
    return found


def upgrade() -> None:
    op.add_column("masks", sa.Column("dead_units", JSON, nullable=False, server_default="[]"))
    connection = op.get_bind()
    for digest in connection.scalars(sa.select(MASKS.c.digest)).all():
        row = MASKS.c.digest == digest
        document = connection.scalar(sa.select(MASKS.c.document).where(row))
        if found := dead_units(document["layers"]):
            connection.execute(MASKS.update().where(row).values(dead_units=found))


def downgrade() -> None:
    op.drop_column("masks", "dead_units")
