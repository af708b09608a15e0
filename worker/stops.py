"""Why an attempt ends before its work is done.

::

    Stopped                 the work is ended from outside
    ├── Canceled            somebody asked for it, or the job has ended without this attempt
    ├── Lost                the lease ran out and the job was taken away
    ├── TimedOut            the attempt ran longer than the job allows
    └── ShuttingDown        the worker ends
    Failed                  the process says why there is no result
    Killed                  the process ended without a word

None of them is an error of raiw: each decides what becomes of the job.
"""

from typing import Any


class Stopped(Exception):
    """The work must stop now."""


class Canceled(Stopped):
    """Somebody asked the job to stop; nobody wants its result."""


class Lost(Stopped):
    """The lease ran out; another attempt may be running, so this one writes nothing more."""


class TimedOut(Stopped):
    """One attempt ran longer than the job allows."""


class ShuttingDown(Stopped):
    """The worker ends; the job goes back to the queue for another."""


class Failed(Exception):
    """The process says why it has no result."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.problem = problem


class Killed(Exception):
    """The process was killed, by the kernel for its memory or by somebody."""
