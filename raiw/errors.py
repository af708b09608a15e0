"""The error tree of raiw.

::

    RaiwError                     anything raiw says about its input or its work
    ├── InvalidInput              the caller can repair it
    │   ├── InvalidSpec           a spec, layer, rule or target is wrong
    │   │   └── ImpossibleTarget  no graph of this shape has so many (or few) edges
    │   ├── InvalidTensors        a safetensors file is malformed or holds the wrong tensors
    │   │   └── InvalidImportance scores do not fit the spec, or hold NaN or +inf
    │   ├── InvalidMasks          a mask file is damaged or not a mask file
    │   ├── InvalidNetwork        a network's file is damaged, or its code fails
    │   ├── NetworkNotAllowed     a network of a module that may not be imported
    │   ├── NetworkChanged        a network's code is not that which was asked for
    │   ├── InvalidData           a data set is damaged, or does not fit the network
    │   ├── ForeignServer         what answers at a URL is no raiw server
    │   ├── CannotPrune           a network's channels cannot go without changing what it computes
    │   └── TooLarge              a limit is exceeded
    ├── Infeasible                forbidden (-inf) edges leave no graph that keeps the contract
    ├── NotFound                  no such job, mask, file or layer
    ├── GateFailed                verification, comparison or a gate said no
    │   └── DeadUnitsFound        a layer leaves outputs or inputs without an edge
    ├── TrainingFailed            a training run cannot go on; its last checkpoint is kept
    │   ├── Diverged              the loss is not a finite number
    │   └── OutOfMemory           the machine or its GPU has too little memory
    ├── DiskFull                  there is no room for a file
    ├── JobEnded                  a job ended without a result
    │   ├── JobFailed
    │   ├── JobCanceled
    │   └── JobExpired
    ├── StillRunning              the wait ended before the job did
    ├── Unauthorized              the server refused the token
    ├── Unreachable               the server did not answer, or asked to come back later
    ├── MissingExtra              an optional dependency is not installed
    └── NotCompiled               the C++ kernels of this source tree were never built

Each class has a stable ``code``: it is the slug of the REST problem, the ``error.code`` of
``--json`` and what a program should test. Nothing here knows HTTP or exit statuses; each edge
keeps one table of its own.
"""

from typing import Any, ClassVar


class RaiwError(Exception):
    """Base of every error raised on purpose.

    Parameters
    ----------
    message
        What is wrong: the value, the limit and the remedy.
    pointer
        JSON pointer into the document the message is about, or None.
    details
        Further facts for programs; JSON-serialisable.
    """

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "raiw could not do this"

    def __init__(self, message: str, *, pointer: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.pointer, self.details)


def _rebuild(
    kind: type[RaiwError], message: str, pointer: str | None, details: dict[str, Any]
) -> RaiwError:
    return kind(message, pointer=pointer, **details)


class InvalidInput(RaiwError):
    """The caller's input is wrong and can be repaired."""

    code = "invalid-input"
    title = "The input is invalid"


class InvalidSpec(InvalidInput):
    """A spec document is wrong; ``problems`` lists every fault with its JSON pointer."""

    code = "invalid-spec"
    title = "The spec is invalid"

    def __init__(
        self,
        message: str,
        *,
        pointer: str | None = None,
        problems: list[dict[str, str]] | None = None,
        **details: Any,
    ) -> None:
        listed = problems or [{"pointer": pointer or "", "detail": message}]
        super().__init__(message, pointer=pointer, problems=listed, **details)

    @property
    def problems(self) -> list[dict[str, str]]:
        """Every fault found: ``{"pointer": ..., "detail": ...}``."""
        listed: list[dict[str, str]] = self.details["problems"]
        return listed


class ImpossibleTarget(InvalidSpec):
    """No graph of this shape has that many edges; the message names the nearest number possible."""

    code = "impossible-target"
    title = "The target cannot be met"


class InvalidTensors(InvalidInput):
    """A safetensors file is malformed, or its tensors are not what is needed."""

    code = "invalid-tensors"
    title = "The safetensors file is invalid"


class InvalidImportance(InvalidTensors):
    """Importance scores do not fit the spec, or hold NaN or +inf."""

    code = "invalid-importance"
    title = "The importance scores are invalid"


class InvalidMasks(InvalidInput):
    """A mask file is damaged, of another format, or contradicts its own digest."""

    code = "invalid-masks"
    title = "The mask file is invalid"


class InvalidNetwork(InvalidInput):
    """A network's file is damaged or does not hold the weights itself, or its code fails."""

    code = "invalid-network"
    title = "The network cannot be read"


class NetworkNotAllowed(InvalidInput):
    """A network is of a module that may not be imported because a name says so."""

    code = "network-not-allowed"
    title = "The network's module is not allowed"


class NetworkChanged(InvalidInput):
    """A network's code is not that which was asked for: results would be those of another."""

    code = "network-changed"
    title = "The network has changed"


class InvalidData(InvalidInput):
    """A data set's files are missing, damaged or contradict each other, or do not fit a network."""

    code = "invalid-data"
    title = "The data set is invalid"


class CannotPrune(InvalidInput):
    """The channels of a network cannot be told apart, or go without changing what it computes."""

    code = "cannot-prune"
    title = "The network cannot be pruned"


class TooLarge(InvalidInput):
    """A limit is exceeded; the message names it."""

    code = "too-large"
    title = "A limit is exceeded"


class Infeasible(RaiwError):
    """Edges scored -inf may never be kept, and without them the degree contract cannot be met."""

    code = "infeasible"
    title = "No graph avoids the forbidden edges"


class NotFound(RaiwError):
    """No such job, mask, blob, file or layer."""

    code = "not-found"
    title = "Not found"


class GateFailed(RaiwError):
    """A verification, comparison or gate failed."""

    code = "gate-failed"
    title = "A check failed"


class DeadUnitsFound(GateFailed):
    """Outputs have no input edge, or inputs no output edge; ``details["dead_units"]`` lists them.

    Raised only where strictness was asked for.
    """

    code = "dead-units"
    title = "Some units have no edge"


class TrainingFailed(RaiwError):
    """A training run cannot go on; its last checkpoint is kept."""

    code = "training-failed"
    title = "The training failed"


class Diverged(TrainingFailed):
    """The loss is not a finite number."""

    code = "diverged"
    title = "The training diverged"


class OutOfMemory(TrainingFailed):
    """The machine or its GPU has too little memory."""

    code = "out-of-memory"
    title = "There is too little memory"


class DiskFull(RaiwError):
    """There is no room for a file; its previous version is untouched."""

    code = "disk-full"
    title = "The disk is full"


class JobEnded(RaiwError):
    """A job ended without a result."""

    code = "job-ended"
    title = "The job has no result"


class JobFailed(JobEnded):
    """The job failed; ``details['error']`` is its problem document."""

    code = "job-failed"
    title = "The job failed"


class JobCanceled(JobEnded):
    """The job was canceled."""

    code = "job-canceled"
    title = "The job was canceled"


class JobExpired(JobEnded):
    """The job's deadline passed before a worker took it."""

    code = "job-expired"
    title = "The job expired"


class StillRunning(RaiwError):
    """The wait ended before the job did."""

    code = "still-running"
    title = "The job is still running"


class Unauthorized(RaiwError):
    """The server needs a token, or refused the one given."""

    code = "unauthorized"
    title = "Not authorized"


class Unreachable(RaiwError):
    """The server did not answer or is overloaded; trying again later is safe."""

    code = "unreachable"
    title = "The server cannot be reached"


class ForeignServer(InvalidInput):
    """What answers at the URL is no raiw server."""

    code = "foreign-server"
    title = "This is not a raiw server"


class MissingExtra(RaiwError):
    """A feature needs an optional dependency; the message names the extra to install."""

    code = "missing-extra"
    title = "An optional dependency is missing"


class NotCompiled(RaiwError):
    """The C++ kernels of this source tree were never built; the message names the command."""

    code = "not-compiled"
    title = "The kernels are not compiled"
