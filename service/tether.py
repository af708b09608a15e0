"""Run a command that is killed when the process that started it ends: ``tether.py PID COMMAND...``.

This is a program of its own because the child must ask for this between fork and exec, where a
process with threads may not run Python. A bare interpreter runs it, so it uses the standard library
only. Where the kernel cannot do it (macOS), the command runs all the same.
"""

import ctypes
import os
import signal
import sys

TIED = "TETHER_PID"
"""Variable that tells a tied command its own process id, the parent of those it starts."""
_PR_SET_PDEATHSIG = 1


def tied(*command: str) -> list[str]:
    """Return the command that runs ``command``, an absolute path first, tied to this process."""
    return [sys.executable, "-IS", __file__, str(os.getpid()), *command]


def tie(parent: int) -> None:
    """End this process as soon as its parent has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)  # it ended before the kernel was told


def main() -> None:
    """Tie this process to its parent and become the command."""
    parent, *command = sys.argv[1:]
    tie(int(parent))
    os.environ[TIED] = str(os.getpid())
    os.execv(command[0], command)  # noqa: S606 -- the command is ours


if __name__ == "__main__":
    main()
