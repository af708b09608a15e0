"""The bodies of requests: the documents of raiw, with the fields that only the service has.

The document validates a request as far as that is possible without uploads and workers.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Union, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    create_model,
)

from raiw.jobs.document import JobDocument
from raiw.jobs.registry import KINDS, JobKind
from raiw.specs.document import Document
from raiw.specs.limits import AtMost
from service.contract.jobs import Priority

_NO_NUL = r"^[^\x00]*$"
"""Which PostgreSQL cannot store."""
Metadata = Annotated[
    dict[
        Annotated[str, Field(max_length=64, pattern=_NO_NUL)],
        Annotated[str, Field(max_length=512, pattern=_NO_NUL)],
    ],
    AtMost(16),
]
DEFAULT_KIND = "craft"
UNKNOWN_KIND = "unknown_kind"
"""Type of the error for a ``kind`` that is not a kind of job."""
UNKEYED = frozenset({"timeout_seconds", "deadline_at", "priority", "metadata"})
"""Fields of a request that do not change any bit of the result."""


def _written(value: Any) -> Any:
    if isinstance(value, datetime) or (isinstance(value, str) and "T" in value.upper()):
        return value
    raise ValueError("write a date, a time and its offset, such as 2030-01-31T12:00:00Z")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC this is before the year 1 or after 9999") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_utc)]
"""As in RFC 3339: a bare number could be seconds or milliseconds since any day."""


class Request(Document):
    """What every request may contain besides the job's document; it does not affect the result."""

    kind: str
    timeout_seconds: Annotated[float, Field(gt=0, le=7 * 86400, strict=True)] | None = None
    """Longest run time of an attempt."""
    deadline_at: Moment | None = None
    """A job that has not started by then expires; a time in the past is refused."""
    priority: Priority = Priority.NORMAL
    """Which of your own jobs start first; it changes nothing for other owners."""
    metadata: Metadata = Field(default_factory=dict)
    """Free notes, such as the commit a pipeline builds."""

    def keyed(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """Return what content keys are made of."""
        return super().keyed(without={*without, *UNKEYED})

    def document(self) -> JobDocument:
        """Return what the job is asked to do, without what only the service needs."""
        kind = KINDS[self.kind].document
        return kind.model_construct(**{name: getattr(self, name) for name in kind.model_fields})


def request_of(kind: JobKind) -> type[Request]:
    """Return the body that asks for a job of a kind."""
    bases: Any = (kind.document, Request)
    named: Any = kind.document.model_fields["kind"].annotation
    default: Any = DEFAULT_KIND if kind.name == DEFAULT_KIND else ...
    body = create_model(
        f"{kind.document.__name__}Request",
        __base__=bases,
        __module__=__name__,
        __doc__=kind.document.__doc__,
        kind=(named, default),
    )
    return cast("type[Request]", body)


REQUESTS: dict[str, type[Request]] = {name: request_of(kind) for name, kind in KINDS.items()}
"""The body of every kind of job."""


def _kind(document: Any) -> str:
    given = document.get("kind", DEFAULT_KIND) if isinstance(document, dict) else None
    kind = getattr(document, "kind", DEFAULT_KIND) if given is None else given
    return kind if isinstance(kind, str) else ""


if TYPE_CHECKING:
    JobRequest = Request
else:
    JobRequest = Annotated[
        Union[tuple(Annotated[body, Tag(name)] for name, body in REQUESTS.items())],  # noqa: UP007
        Discriminator(
            _kind,
            custom_error_type=UNKNOWN_KIND,
            custom_error_message=f"kind is one of {', '.join(KINDS)}",
        ),
    ]
    """The body of ``POST /v1/jobs``; ``kind`` left out means ``craft``."""
