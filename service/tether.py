"""Run a command that is killed when the process that started it ends: ``tether.py PID COMMAND...``.

This is a program of its own because the wish must be uttered by the child, between fork and exec,
where a process with threads may not run Python. It is read by a bare interpreter: standard
library only. Where the kernel cannot do it (macOS) the command runs all the same.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tied(*command: str) -> list[str]:
    """Return the command that runs ``command``, an absolute path first, tied to this process."""
    return [sys.executable, "-IS", __file__, str(os.getpid()), *command]


def main() -> None:
    """Tie this process to its parent and become the command."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)  # it ended before the wish was heard
    os.execv(command[0], command)  # noqa: S606 -- the command is ours


if __name__ == "__main__":
    main()
