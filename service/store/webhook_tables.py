"""The tables of webhooks and of what is sent to them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from service.store.records import Record

WAITING = text("next_attempt_at IS NOT NULL")
"""The deliveries that wait, in the exact words of their index."""


class WebhookRow(Record):
    """An address that is told of what becomes of its owner's jobs."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"), index=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[str]]
    """Types of the events to send."""
    note: Mapped[str] = mapped_column(String(200))
    generation: Mapped[int] = mapped_column(default=1)
    """Which of its secrets signs: they are derived, see :mod:`service.jobs.sealing`."""
    rotated_at: Mapped[datetime | None]
    """When that secret came; the one before signs too for a while."""
    created_at: Mapped[datetime]
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    """Why nothing is sent; null while it is enabled."""
    failing_since: Mapped[datetime | None]
    """First failure since the last success."""
    resume_at: Mapped[datetime | None]
    """The receiver has asked to be left alone until then."""


class DeliveryRow(Record):
    """An event for a webhook, written in the transaction of the change that it reports."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        # Few of many wait.
        Index(
            "ix_webhook_deliveries_waiting",
            "webhook_id",
            "next_attempt_at",
            sqlite_where=WAITING,
            postgresql_where=WAITING,
        ),
        Index("ix_webhook_deliveries_webhook_id_created_at_id", "webhook_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    job_id: Mapped[str] = mapped_column(String(40))
    """The job may be removed before."""
    type: Mapped[str] = mapped_column(String(40))
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(index=True)
    since: Mapped[datetime]
    """When delivering began: at its creation, or when somebody asked for it again."""
    next_attempt_at: Mapped[datetime | None]
    """Null once it was delivered or given up; while it is sent, when it counts as lost."""
    attempted_at: Mapped[datetime | None]
    http_status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
