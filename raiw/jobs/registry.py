"""The table of kinds of jobs; nothing that computes is imported until a run is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from raiw import extras
from raiw.jobs.budget import BudgetJob
from raiw.jobs.craft import CraftJob
from raiw.jobs.document import JobDocument
from raiw.jobs.graph import GraphJob
from raiw.jobs.prune import PruneJob
from raiw.jobs.reproduce import ReproduceJob
from raiw.jobs.score import ScoreJob
from raiw.jobs.search import SearchJob
from raiw.jobs.speed import SpeedJob
from raiw.jobs.study import StudyJob
from raiw.jobs.train import TrainJob
from raiw.jobs.verify import VerifyJob
from raiw.names import find

if TYPE_CHECKING:
    from raiw.jobs.workspace import Made, Needed, Workspace

JobRun = Callable[[Any, "Workspace"], "Made | Needed"]
"""``run(document, workspace) -> Made``; or what it needs first."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """What is known of a kind of job without running it."""

    document: type[JobDocument]
    queue: Literal["cpu", "gpu"]
    """Workers it waits for."""
    main: str
    """Name of the file that stands for the result; braces hold fields of the document."""
    phase: str
    """What a worker does, as shown in its progress."""
    steps: str = "steps"
    """What the progress counts."""
    module: str | None = None
    """Module whose function ``run`` does the work, in a process of its own. None: the worker crafts
    masks by itself, layer by layer."""
    distributed: bool = False
    """Whether several processes, one a GPU, can share the work."""

    @property
    def name(self) -> str:
        """What the document's ``kind`` says."""
        return str(self.document.model_fields["kind"].default)

    def main_file(self, job: JobDocument) -> str:
        """Return the name of the file that stands for a job's result."""
        return self.main.format(**dict(job))

    def load(self) -> JobRun:
        """Import and return the function that does the work.

        Raises
        ------
        MissingExtra
            What it needs is not installed; the message names the extra that brings it.
        """
        assert self.module is not None  # noqa: S101 -- what crafts is not loaded from here
        run: JobRun = extras.load(self.module).run
        return run


KINDS: dict[str, JobKind] = {
    kind.name: kind
    for kind in (
        JobKind(CraftJob, queue="cpu", main="masks", phase="crafting", steps="layers"),
        JobKind(
            ScoreJob, queue="gpu", main="scores", phase="scoring", module="raiw.jobs.run_score"
        ),
        JobKind(
            PruneJob, queue="gpu", main="weights", phase="pruning", module="raiw.jobs.run_prune"
        ),
        JobKind(
            TrainJob,
            queue="gpu",
            main="weights-seed-{seeds[0]}",
            phase="training",
            steps="epochs",
            module="raiw.jobs.run_train",
            distributed=True,
        ),
        JobKind(
            SpeedJob,
            queue="gpu",
            main="speed",
            phase="measuring",
            steps="runs",
            module="raiw.jobs.run_speed",
        ),
        JobKind(
            SearchJob,
            queue="gpu",
            main="search",
            phase="searching",
            steps="trainings",
            module="raiw.jobs.run_search",
        ),
        JobKind(
            BudgetJob, queue="cpu", main="budget", phase="sharing", module="raiw.jobs.run_budget"
        ),
        JobKind(
            VerifyJob,
            queue="cpu",
            main="verification",
            phase="verifying",
            module="raiw.jobs.run_verify",
        ),
        JobKind(
            StudyJob,
            queue="cpu",
            main="study",
            phase="studying",
            steps="runs",
            module="raiw.study.graphs.job",
        ),
        JobKind(
            GraphJob, queue="cpu", main="graph", phase="crafting", module="raiw.jobs.run_graph"
        ),
        JobKind(
            ReproduceJob,
            queue="gpu",
            main="reproduction",
            phase="reproducing",
            steps="items",
            module="raiw.reproduction.job",
        ),
    )
}
"""Every kind of job by its name."""


def find_kind(name: str) -> JobKind:
    """Return a kind of the table.

    Raises
    ------
    InvalidInput
        There is no kind of this name; the message lists them.
    """
    return find(name, KINDS, "kind of job")
