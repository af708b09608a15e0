"""What a client asks for: one document a kind of job, and its content key.

Whether a request is in order is decided here as far as it can be without uploads and workers.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AwareDatetime, Discriminator, Field, Tag, model_validator

from raiw.algorithms import ALGORITHMS
from raiw.canonical import digest_of_json
from raiw.errors import InvalidInput, NotFound
from raiw.importance.methods import SCORES, Score, find_score
from raiw.nets.registry import NETS, find_net
from raiw.pruning.methods import METHODS, Method
from raiw.pruning.methods import method as find_pruner
from raiw.specs.document import Digest, Document
from raiw.specs.spec import Spec
from raiw.training.recipe import REVISION, Recipe
from service.contract.tasks import Queue

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]
DataSet = Annotated[
    str, Field(pattern=r"^(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99})$")
]
"""Name of a data set that the workers have, or digest of an uploaded one."""
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
Option = (
    Annotated[int, Field(ge=-(1 << 53), le=1 << 53)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, Field(max_length=100)]
)
Options = Annotated[dict[Annotated[str, Field(max_length=64)], Option], Field(max_length=32)]
MAX_SEEDS = 100
Found = TypeVar("Found")


class CraftRequest(Document):
    """What to craft: the body of a plan, and the heart of a job."""

    spec: Spec
    importance: Digest | None = None
    """Digest of an uploaded importance file."""


class Request(Document):
    """What every kind of job may say besides its task."""

    timeout_seconds: Annotated[float, Field(gt=0, le=7 * 86400)] | None = None
    """Longest run time of one attempt."""
    deadline_at: AwareDatetime | None = None
    """A job nobody has started by then expires."""
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
    method: str
    options: Options = Field(default_factory=dict)
    samples: Annotated[int, Field(ge=1, le=1 << 30)] = 1000
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
    method: Annotated[str, Field(json_schema_extra={"enum": [*SCORES]})] = "gradient"
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
    method: Annotated[str, Field(json_schema_extra={"enum": [*METHODS]})] = "entropic"

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
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_SEEDS)] = (0,)

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
    if isinstance(document, dict):
        return str(document.get("kind", "craft"))
    return str(getattr(document, "kind", "craft"))


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
