"""Why an attempt ends before its work is done.

::

    RaiwError
    ├── Stopped             the work is ended from outside
    │   ├── Canceled        somebody asked for it, or the job has ended without this attempt
    │   ├── Lost            the lease ran out and the job was taken away
    │   ├── TimedOut        the attempt ran longer than the job allows
    │   └── ShuttingDown    the worker ends
    ├── Failed              the process says why there is no result
    └── Killed              the process ended without a word

Each decides what becomes of the job; clients see only the codes of a problem.
"""

from typing import Any

from raiw.errors import RaiwError


class Stopped(RaiwError):
    """The work must stop now."""

    code = "stopped"
    title = "The work was stopped"


class Canceled(Stopped):
    """Somebody asked the job to stop; nobody wants its result."""

    code = "canceled"
    title = "The job was canceled"


class Lost(Stopped):
    """The lease ran out; another attempt may be running, so this one writes nothing more."""

    code = "lease-lost"
    title = "The job was taken away"


class TimedOut(Stopped):
    """One attempt ran longer than its job's ``timeout_seconds``."""

    code = "timeout"
    title = "The job ran out of time"


class ShuttingDown(Stopped):
    """The worker is stopping; the job goes back to the queue for another."""

    code = "worker-ends"
    title = "The worker ends"


class Failed(RaiwError):
    """The process says why it has no result: ``details['problem']`` is the problem document."""

    code = "failed"
    title = "The process has no result"

    @property
    def problem(self) -> dict[str, Any]:
        """What is kept with the job."""
        problem: dict[str, Any] = self.details["problem"]
        return problem


class Killed(RaiwError):
    """The process was killed, by the kernel for its memory or by somebody."""

    code = "killed"
    title = "The process was killed"
