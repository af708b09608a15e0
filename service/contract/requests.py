"""What a client asks for: one document a kind of job, and its content key.

Whether a request is in order is decided here as far as it can be without uploads and workers.
"""

from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from raiw.algorithms import ALGORITHMS
from raiw.canonical import digest_of_json
from raiw.errors import InvalidInput, NotFound
from raiw.importance.methods import SCORES, Score, find_score
from raiw.nets.registry import NETS, find_net
from raiw.pruning.methods import METHODS, Method
from raiw.pruning.methods import method as find_pruner
from raiw.specs.document import WHOLE, Digest, Document
from raiw.specs.limits import AtMost
from raiw.specs.spec import Spec
from raiw.training.recipe import REVISION, Recipe
from service.contract.tasks import Queue

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    AtMost(16),
]
DataSet = Annotated[
    str, Field(pattern=r"^(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99})$")
]
"""Name of a data set that the workers have, or digest of an uploaded one."""
Seed = Annotated[int, Field(ge=0, lt=1 << 63, strict=True), WHOLE]
Option = (
    Annotated[int, Field(ge=-(1 << 53), le=1 << 53, strict=True)]
    | Annotated[float, Field(allow_inf_nan=False, strict=True)]
    | Annotated[str, Field(max_length=100)]
)
Options = Annotated[dict[Annotated[str, Field(max_length=64)], Option], AtMost(32)]


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
"""As RFC 3339 writes it: a mere number could be seconds, or milliseconds, since any day."""
MAX_SEEDS = 100
Found = TypeVar("Found")


class CraftRequest(Document):
    """What to craft: the body of a plan, and the heart of a job."""

    spec: Spec
    importance: Digest | None = None
    """Digest of an uploaded importance file."""


class Request(Document):
    """What every kind of job may say besides its task."""

    timeout_seconds: Annotated[float, Field(gt=0, le=7 * 86400, strict=True)] | None = None
    """Longest run time of one attempt."""
    deadline_at: Moment | None = None
    """A job nobody has started by then expires; in the past, it is refused."""
    metadata: Metadata = Field(default_factory=dict)
    """Free notes, such as the commit a pipeline builds."""


class CraftJob(CraftRequest, Request):
    """Craft masks."""

    kind: Literal["craft"] = "craft"

    @property
    def algorithm(self) -> str:
        """What the job is listed by."""
        return self.spec.algorithm(scored=self.importance is not None)

    @property
    def total(self) -> int:
        """Layers to craft."""
        return len(self.spec.layers)

    @property
    def queue(self) -> Queue:
        """Where the job waits."""
        return Queue.CPU

    def content_key(self) -> str:
        """Name the result: the same key always means the same bits."""
        return self.spec.content_key(self.importance)


class NetworkJob(Request):
    """A job on a network that is built and run: it needs PyTorch, so it waits for its workers."""

    network: Annotated[str, Field(max_length=200, json_schema_extra={"enum": [*NETS]})]
    """A network of the catalogue that can be built."""

    @model_validator(mode="after")
    def _network_exists(self) -> Self:
        try:
            find_net(self.network)
        except NotFound as error:
            raise InvalidInput(error.message, pointer="/network") from None
        return self

    @property
    def queue(self) -> Queue:
        """Where the job waits."""
        return Queue.GPU

    @property
    def uploads(self) -> dict[str, str]:
        """Digests of uploads the job needs, by JSON pointer."""
        fields = {name: getattr(self, name, None) for name in ("weights", "importance", "data")}
        return {
            f"/{name}": value
            for name, value in fields.items()
            if value is not None and value.startswith("sha256:")
        }

    def task(self) -> dict[str, Any]:
        """Return what a worker is told, without what only the service needs."""
        own = set(Request.model_fields)
        return self.model_dump(mode="json", exclude=own, exclude_defaults=True)

    @property
    @abstractmethod
    def revisions(self) -> list[int]:
        """Of all that does the work: one is raised when the same request gives another result."""

    def content_key(self) -> str:
        """Name the result: the same key means the same task, by the same revisions of it."""
        return digest_of_json({"task": self.task(), "revisions": self.revisions})


class MethodJob(NetworkJob):
    """A job on a trained network by one of several methods."""

    weights: Digest
    """Digest of the uploaded state dict."""
    data: DataSet | None = None
    method: Annotated[str, Field(max_length=100)]
    options: Options = Field(default_factory=dict)
    samples: Annotated[int, Field(ge=1, le=1 << 30, strict=True), WHOLE] = 1000
    """Training images to look at."""

    @property
    @abstractmethod
    def chosen(self) -> Score | Method:
        """What its registry says of the method."""

    @property
    @abstractmethod
    def needs_data(self) -> bool:
        """Whether the method runs the network."""

    @model_validator(mode="after")
    def _method_in_order(self) -> Self:
        chosen = _at("/method", lambda: self.chosen)
        _at("/options", lambda: chosen.complete(self.options))
        if self.needs_data and self.data is None:
            raise InvalidInput(
                f"{self.method!r} needs data: name a data set, such as 'digits'", pointer="/data"
            )
        return self

    @property
    def algorithm(self) -> str:
        """What the job is listed by."""
        return self.method

    @property
    def total(self) -> int:
        """Steps of the job."""
        return 1

    @property
    def revisions(self) -> list[int]:
        """Of the method."""
        return [self.chosen.revision]


class ScoreJob(MethodJob):
    """Score every edge of a trained network; the result is an importance file to craft with."""

    kind: Literal["score"]
    method: Annotated[str, Field(max_length=100, json_schema_extra={"enum": [*SCORES]})] = (
        "gradient"
    )
    seed: Seed = 0

    @property
    def chosen(self) -> Score:
        """What the registry says of the score."""
        return find_score(self.method)

    @property
    def needs_data(self) -> bool:
        """Whether the score runs the network."""
        return self.chosen.needs_inputs


class PruneJob(MethodJob):
    """Remove channels of a trained network; the results are the smaller weights and the choice."""

    kind: Literal["prune"]
    method: Annotated[str, Field(max_length=100, json_schema_extra={"enum": [*METHODS]})] = (
        "entropic"
    )

    @property
    def chosen(self) -> Method:
        """What the registry says of the method."""
        return find_pruner(self.method)

    @property
    def needs_data(self) -> bool:
        """Whether the method runs the network."""
        return self.chosen.needs_data


class TrainJob(NetworkJob):
    """Train a network from scratch, with masks held, once for each seed."""

    kind: Literal["train"]
    masks: Digest | None = None
    """Content digest of stored masks; without masks and spec the dense network is trained."""
    spec: Spec | None = None
    """Crafted first, instead of masks."""
    importance: Digest | None = None
    """Digest of an uploaded importance file, for the spec."""
    data: DataSet
    recipe: Recipe = Recipe()
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), AtMost(MAX_SEEDS)] = (0,)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.masks is not None and self.spec is not None:
            raise InvalidInput("give masks or a spec to craft them from, not both", pointer="/spec")
        if self.importance is not None and self.spec is None:
            raise InvalidInput("importance is for a spec, and there is none", pointer="/importance")
        if len(set(self.seeds)) < len(self.seeds):
            raise InvalidInput("a seed is given twice", pointer="/seeds")
        if self.spec is not None:
            self.spec.algorithm(scored=self.importance is not None)
        return self

    @property
    def algorithm(self) -> str:
        """What the job is listed by."""
        if self.spec is not None:
            return self.spec.algorithm(scored=self.importance is not None)
        return "dense" if self.masks is None else "masks"

    @property
    def total(self) -> int:
        """Epochs of all seeds."""
        return self.recipe.epochs * len(self.seeds)

    @property
    def revisions(self) -> list[int]:
        """Of training, and of the algorithm where a spec is crafted."""
        return [REVISION] if self.spec is None else [REVISION, ALGORITHMS[self.algorithm].revision]


def _at(pointer: str, check: Callable[[], Found]) -> Found:
    """Return what ``check`` does; its error says where in the request the fault is."""
    try:
        return check()
    except InvalidInput as error:
        raise InvalidInput(error.message, pointer=pointer) from None


def _kind(document: Any) -> str:
    given = document.get("kind", "craft") if isinstance(document, dict) else None
    kind = getattr(document, "kind", "craft") if given is None else given
    return kind if isinstance(kind, str) else ""


KINDS = ("craft", "score", "prune", "train")
UNKNOWN_KIND = "unknown_kind"
"""Type of the fault that ``kind`` names no kind of job."""

JobRequest = Annotated[
    Annotated[CraftJob, Tag("craft")]
    | Annotated[ScoreJob, Tag("score")]
    | Annotated[PruneJob, Tag("prune")]
    | Annotated[TrainJob, Tag("train")],
    Discriminator(
        _kind,
        custom_error_type=UNKNOWN_KIND,
        custom_error_message=f"kind is one of {', '.join(KINDS)}",
    ),
]
"""The body of ``POST /v1/jobs``; ``kind`` left out means ``craft``."""
