"""What the documents of all kinds of jobs share."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from raiw.canonical import digest_of_json
from raiw.errors import InvalidInput, NotFound
from raiw.importance.methods import Score
from raiw.jobs.fields import (
    MASKS,
    UPLOADED,
    Arguments,
    DataSet,
    Options,
    UploadDigest,
    stored,
)
from raiw.nets.registry import NETS
from raiw.pruning.methods import Method
from raiw.specs.document import WHOLE, Document

Found = TypeVar("Found")

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*([/:][A-Za-z0-9_.\-]+)*$"
"""How networks are named; which there are, only whoever builds them knows."""


class JobDocument(Document):
    """What a job is asked to do, and all that decides its result.

    The same document is the body of a request, what a worker runs and what a command builds.
    """

    kind: str
    """What is asked for."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """What the job is about, for lists."""

    @property
    @abstractmethod
    def algorithm(self) -> str:
        """Algorithm or method that the job is listed by."""

    @property
    @abstractmethod
    def total(self) -> int:
        """Steps of the job, as its progress counts them."""

    @property
    @abstractmethod
    def revisions(self) -> list[int]:
        """Of all that does the work: one is raised when the same document gives another result."""

    def content_key(self) -> str:
        """Name the result: the same key means the same document, by the same revisions."""
        return digest_of_json({"job": self.keyed(), "revisions": self.revisions})

    @property
    def uploads(self) -> dict[str, str]:
        """Digests of the uploads it needs, by JSON pointer."""
        return stored(self, UPLOADED)

    @property
    def stored_masks(self) -> dict[str, str]:
        """Content digests of the stored masks it needs, by JSON pointer."""
        return stored(self, MASKS)


class NetworkJob(JobDocument):
    """A job on a network that is built and run."""

    newer: ClassVar[frozenset[str]] = frozenset({"arguments", "channels", "network_revision"})

    network: Annotated[
        str,
        Field(max_length=200, pattern=NAME, json_schema_extra={"examples": [*NETS]}),
    ]
    """A network of the catalogue, or another that the workers have, as ``raiw networks`` lists."""
    arguments: Arguments = Field(default_factory=dict)
    """Arguments of its factory, such as num_classes; networks of the catalogue take none."""
    network_revision: Annotated[str, Field(max_length=100)] | None = None
    """What names its code; left out, that which a worker has announced last."""
    channels: UploadDigest | None = None
    """Digest of an uploaded file of channels, as prune makes: the network without the others."""

    @model_validator(mode="after")
    def _catalogue_is_fixed(self) -> Self:
        for name in ("arguments", "network_revision"):
            if self.network in NETS and getattr(self, name):
                raise InvalidInput(
                    f"network {self.network!r} is of the catalogue and has no {name}: leave it out",
                    pointer=f"/{name}",
                )
        return self

    @property
    def subject(self) -> str:
        """The network."""
        return self.network


class MethodJob(NetworkJob):
    """A job on a trained network by one of several methods."""

    weights: UploadDigest
    """Digest of the uploaded state dict (safetensors)."""
    data: DataSet | None = None
    """A data set that the workers have, or the digest of an uploaded one."""
    method: Annotated[str, Field(max_length=200)]
    """What to do it by."""
    options: Options = Field(default_factory=dict, validate_default=True)
    """Options of the method; those left out have the method's defaults."""
    samples: Annotated[int, Field(ge=1, le=1 << 30, strict=True), WHOLE] = 1000
    """Training images to look at."""

    @staticmethod
    @abstractmethod
    def find(method: str) -> Score | Method:
        """Return what the registry says of a method."""

    @property
    @abstractmethod
    def needs_data(self) -> bool:
        """Whether the method runs the network."""

    @field_validator("method")
    @classmethod
    def _method_exists(cls, method: str) -> str:
        return at("/method", lambda: cls.find(method)).name

    @field_validator("options")
    @classmethod
    def _options_complete(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "method" not in info.data:  # at fault itself, and told
            return options
        chosen = cls.find(info.data["method"])
        return at("/options", lambda: chosen.complete(options))

    @model_validator(mode="after")
    def _data_given(self) -> Self:
        if self.needs_data and self.data is None:
            raise InvalidInput(
                f"{self.method!r} needs data: name a data set, such as 'digits'", pointer="/data"
            )
        return self

    @property
    def algorithm(self) -> str:
        """The method."""
        return self.method

    @property
    def total(self) -> int:
        """One step."""
        return 1

    @property
    def revisions(self) -> list[int]:
        """Of the method."""
        return [self.find(self.method).revision]


def at(pointer: str, check: Callable[[], Found]) -> Found:
    """Return what ``check`` does; its error says where in the document the fault is.

    Raises
    ------
    InvalidInput
        ``check`` found something wrong, or did not find it.
    """
    try:
        return check()
    except (InvalidInput, NotFound) as error:
        raise InvalidInput(error.message, pointer=pointer) from None
