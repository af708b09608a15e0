"""The body of every error: a problem document of RFC 9457."""

from typing import Any

from pydantic import Field

from service.contract.jobs import View


class Fault(View):
    """One thing wrong with a request."""

    pointer: str
    """JSON pointer into the request body; for a query or header value, its name."""
    detail: str


class Problem(View):
    """What went wrong, for people (``detail``) and for programs (``code``)."""

    type: str
    """``urn:raiw:problem:`` and the code."""
    title: str
    status: int
    detail: str
    """The value, the limit and the remedy."""
    instance: str
    """Path of the request."""
    code: str
    """Stable: what a program should test."""
    request_id: str
    """Stands in the server's log too."""
    retryable: bool
    """Whether the same request may succeed later."""
    errors: list[Fault] = Field(default_factory=list)
    """Every fault found."""
    details: dict[str, Any] = Field(default_factory=dict)
    """Further facts, such as the ``limit`` exceeded or the ``offset`` wanted."""
