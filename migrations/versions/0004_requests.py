"""What jobs ask for in a table of its own, and indexes for what the janitor looks for."""

import json
import zlib

import sqlalchemy as sa
from alembic import op

from raiw.canonical import canonical_json, digest_of

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
older_code_works = False

DOCUMENT = sa.JSON(none_as_null=True)
PUBLISHED = sa.text("status = 'queued' AND published_at IS NOT NULL")
DUE = sa.text("deadline_at IS NOT NULL")
ASKED = sa.text("statistics IS NULL AND measure_attempts > 0")
BATCH = 100

jobs = sa.table(
    "jobs",
    sa.column("id", sa.String),
    sa.column("name", sa.String),
    sa.column("spec", DOCUMENT),
    sa.column("task", DOCUMENT),
    sa.column("request", sa.String),
)
requests = sa.table("requests", sa.column("digest", sa.String), sa.column("packed", sa.LargeBinary))


def upgrade() -> None:
    op.create_table(
        "requests",
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_requests")),
    )
    op.create_table(
        "duties",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_duties")),
    )
    # Added in place: a table that others refer to must not be made anew on SQLite.
    op.add_column("jobs", sa.Column("name", sa.String(200), nullable=False, server_default=""))
    op.execute(
        "ALTER TABLE jobs ADD COLUMN request VARCHAR(71) "
        "CONSTRAINT fk_jobs_request_requests REFERENCES requests (digest)"
    )
    for rows in _batches(jobs.c.spec, jobs.c.task):
        for job_id, spec, task in rows:
            document = spec if task is None else task
            name = document.get("name" if task is None else "network", "")
            shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
            _update(job_id, name=shown, request=_stored(document))
    op.drop_column("jobs", "task")
    op.drop_column("jobs", "spec")
    op.drop_column("outbox", "attempts")

    op.create_index(op.f("ix_jobs_request"), "jobs", ["request"])
    op.create_index(op.f("ix_jobs_finished_at"), "jobs", ["finished_at"])
    op.create_index("ix_jobs_status_created_at_id", "jobs", ["status", "created_at", "id"])
    op.drop_index("ix_jobs_status_run_after", table_name="jobs")
    _create_partial("ix_jobs_published", "jobs", ["queue", "published_at"], PUBLISHED)
    _create_partial("ix_jobs_due", "jobs", ["status", "deadline_at"], DUE)
    _create_partial("ix_masks_asked", "masks", ["created_at"], ASKED)
    op.create_index("ix_outbox_queue_id", "outbox", ["queue", "id"])
    op.create_index(op.f("ix_outbox_argument"), "outbox", ["argument"])
    op.drop_index(op.f("ix_outbox_next_attempt_at"), table_name="outbox")


def downgrade() -> None:
    op.create_index(op.f("ix_outbox_next_attempt_at"), "outbox", ["next_attempt_at"])
    op.drop_index(op.f("ix_outbox_argument"), table_name="outbox")
    op.drop_index("ix_outbox_queue_id", table_name="outbox")
    op.drop_index("ix_masks_asked", table_name="masks")
    op.drop_index("ix_jobs_due", table_name="jobs")
    op.drop_index("ix_jobs_published", table_name="jobs")
    op.create_index("ix_jobs_status_run_after", "jobs", ["status", "run_after"])
    op.drop_index("ix_jobs_status_created_at_id", table_name="jobs")
    op.drop_index(op.f("ix_jobs_finished_at"), table_name="jobs")
    op.drop_index(op.f("ix_jobs_request"), table_name="jobs")

    op.add_column("outbox", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("spec", DOCUMENT, nullable=False, server_default="{}"))
    op.add_column("jobs", sa.Column("task", DOCUMENT, nullable=True))
    kind = sa.column("kind", sa.String)
    for rows in _batches(kind, jobs.c.request):
        for job_id, kind_of_job, digest in rows:
            column = "spec" if kind_of_job == "craft" else "task"
            _update(job_id, **{column: _read(digest)})
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("fk_jobs_request_requests"), "jobs")
    with op.batch_alter_table("jobs") as batch:  # a constraint goes with its column
        batch.drop_column("request")
        batch.drop_column("name")
    op.drop_table("duties")
    op.drop_table("requests")


def _create_partial(name, table, columns, where) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _batches(*columns):
    """Yield rows of some jobs at a time: their specs together may not fit the memory."""
    last = ""
    while True:
        query = sa.select(jobs.c.id, *columns).select_from(jobs).where(jobs.c.id > last)
        rows = op.get_bind().execute(query.order_by(jobs.c.id).limit(BATCH)).all()
        if not rows:
            return
        yield rows
        last = rows[-1].id


def _update(job_id, **values) -> None:
    op.get_bind().execute(sa.update(jobs).where(jobs.c.id == job_id).values(**values))


def _stored(document) -> str:
    text = canonical_json(document).encode()
    digest = digest_of(text)
    bind = op.get_bind()
    if bind.scalar(sa.select(requests.c.digest).where(requests.c.digest == digest)) is None:
        values = {"digest": digest, "packed": zlib.compress(text, 1)}
        bind.execute(sa.insert(requests).values(**values))
    return digest


def _read(digest):
    query = sa.select(requests.c.packed).where(requests.c.digest == digest)
    return json.loads(zlib.decompress(op.get_bind().scalar(query)))
