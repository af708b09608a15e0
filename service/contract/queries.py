"""What lists may be asked for."""

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from raiw.canonical import SHORT_SHA256, digest_of_json
from raiw.errors import InvalidInput
from raiw.jobs.registry import KINDS
from raiw.names import check_name
from raiw.specs.document import Digest
from service.contract.jobs import JobStatus
from service.contract.requests import Moment

MAX_PAGE = 200
Notes = Annotated[
    list[Annotated[str, Field(pattern=r"^[^=\x00]{1,64}=[^\x00]{0,512}$")]], Field(max_length=16)
]
"""Entries of ``metadata``, as ``name=value``."""


def one_of(known: Collection[str], what: str) -> AfterValidator:
    """Return the check that a name is known; what it says lists those that are."""

    def check(name: str) -> str:
        try:
            check_name(name, known, what, InvalidInput)
        except InvalidInput as error:
            raise ValueError(error.message) from None
        return name

    return AfterValidator(check)


PageItems = Annotated[int, Field(ge=1, le=1000)]
TokenOfPage = Annotated[str, Field(max_length=500)]


def noted(entries: Notes) -> dict[str, str]:
    """Return entries as names and values."""
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


class ListQuery(BaseModel):
    """What every list may be asked for."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    page_size: PageItems = 50
    """Most items of one page; above 200 it means 200."""
    page_token: TokenOfPage = ""
    """``next_page_token`` of the page before."""

    created_after: Moment | None = None
    """Only what was created later."""
    created_before: Moment | None = None
    """Only what was created earlier."""

    @property
    def most(self) -> int:
        """Most items of the page."""
        return min(self.page_size, MAX_PAGE)

    @property
    def identity(self) -> str:
        """Name of the list whose page is asked for."""
        asked = self.model_dump(mode="json", exclude={"page_size", "page_token"})
        return digest_of_json([type(self).__name__, asked])


class JobQuery(ListQuery):
    """Which jobs to list."""

    status: JobStatus | None = None
    kind: Annotated[str, one_of(KINDS, "kind of job")] | None = None
    content_key: Digest | None = None
    metadata: Notes = []
    """``name=value``, repeatable: jobs for which somebody has noted just that."""

    @property
    def notes(self) -> list[tuple[str, str]]:
        """Names and values of ``metadata``."""
        return [*noted(self.metadata).items()]


class JobSearch(JobQuery):
    """What people look for."""

    text: Annotated[str, Field(max_length=200)] = ""
    """Part of a job's name, method, notes, id, key or masks' digest, in any case."""


class MasksQuery(ListQuery):
    """Which masks to list."""

    digest: Annotated[str, Field(pattern=f"^{SHORT_SHA256}$")] | None = None
    """Beginning of their digest."""
    name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] | None = None
    """Name of their spec."""
    algorithm: Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")] | None = None
    importance: Digest | None = None
    """Digest of the scores they were crafted from."""
    pinned: bool | None = None


class KeyQuery(ListQuery):
    """Which keys to list."""
