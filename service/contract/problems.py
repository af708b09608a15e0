"""Problem documents: the body of every error (RFC 9457), and what a failed job keeps."""

from http import HTTPStatus
from typing import Any, Self

from pydantic import Field

from raiw.errors import RaiwError
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
    """Appears in the server's log too."""
    retryable: bool
    """Whether the same request may succeed later."""
    errors: list[Fault] = Field(default_factory=list)
    """Every fault found."""
    details: dict[str, Any] = Field(default_factory=dict)
    """Further facts, such as the ``limit`` exceeded or the ``offset`` wanted."""

    @classmethod
    def of(cls, status: HTTPStatus, code: str, detail: str) -> Self:
        """Return the problem of what is not yet a request, and so has neither path nor id."""
        return cls(
            type=f"urn:raiw:problem:{code}",
            title=status.phrase,
            status=status,
            detail=detail,
            instance="",
            code=code,
            request_id="",
            retryable=status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        )


def problem_of(error: RaiwError) -> dict[str, Any]:
    """Return the problem document kept with the job that an error ended."""
    problem = {"code": error.code, "title": error.title, "detail": error.message}
    return problem | ({"pointer": error.pointer} if error.pointer else {})
