"""The exit status of every error: the one table, as ``raiw --help`` prints it."""

from raiw.errors import (
    DiskFull,
    GateFailed,
    Infeasible,
    InvalidInput,
    JobEnded,
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
Exit status: 0 ok, 1 internal error, 2 wrong usage, spec or input, 3 job or training failed
or was canceled, or the disk is full, 4 not authorized, 5 not found, 6 a check, gate or lock
failed, masks or plans differ or, with --strict, units are dead, 7 server unreachable or
overloaded, 8 still running at --timeout, 130 interrupted."""


def exit_status(error: RaiwError) -> int:
    """Return the status to exit with."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
