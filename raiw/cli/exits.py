"""The exit status of every error: the one table, as ``raiw --help`` prints it."""

from raiw.errors import (
    DiskFull,
    GateFailed,
    Infeasible,
    InvalidInput,
    JobEnded,
    JobFailed,
    MissingExtra,
    NotCompiled,
    NotFound,
    RaiwError,
    StillRunning,
    TrainingFailed,
    Unauthorized,
    Unreachable,
)

INTERNAL = 1
USAGE = 2
GATE = 6
INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports for a command whose reader has gone."""

STATUS: dict[type[RaiwError], int] = {
    RaiwError: INTERNAL,
    InvalidInput: USAGE,
    Infeasible: USAGE,
    MissingExtra: USAGE,
    NotCompiled: USAGE,
    JobEnded: 3,
    TrainingFailed: 3,
    DiskFull: 3,
    Unauthorized: 4,
    NotFound: 5,
    GateFailed: GATE,
    Unreachable: 7,
    StillRunning: 8,
}
"""An error has the status of its class, or else of the nearest class above it."""

MEANING = """\
Exit status: 0 ok, 1 internal error, 2 wrong usage, spec or input, or not a raiw server, 3 job
or training failed or was canceled, or the disk is full, 4 not authorized, 5 not found: a file,
network, data set or job, 6 verification failed, masks differ or, with --strict, units are dead,
7 server unreachable or overloaded, 8 not finished at --timeout, 130 interrupted. A mistake has
the same status whether this machine, a server or its worker finds it."""


def exit_status(error: RaiwError) -> int:
    """Return the status to exit with.

    A job that failed because of what it was given ends like the same mistake found on this machine.
    """
    kind = _cause(error) or type(error)
    return next(STATUS[base] for base in kind.__mro__ if base in STATUS)


def _cause(error: RaiwError) -> type[RaiwError] | None:
    if not isinstance(error, JobFailed):
        return None
    from raiw.client.problems import BY_CODE

    kind = BY_CODE.get((error.details.get("error") or {}).get("code", ""), RaiwError)
    return kind if issubclass(kind, InvalidInput | NotFound | Infeasible) else None
