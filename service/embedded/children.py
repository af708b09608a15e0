"""Child processes: they die with this one, and are restarted when they end on their own."""

import collections
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

from raiw.errors import Unreachable
from service.settings import harmless_environment
from service.tether import tied

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""A child that ran for this long is considered stable: the next pause is short again."""
_REMEMBERED_LINES = 20


class Child:
    """A command kept running between ``with`` and its end.

    Parameters
    ----------
    name
        What messages call it.
    command
        Absolute path of a program, and its arguments.
    environment
        Variables beside those of this process; its secrets are not handed down.
    grace_seconds
        Time to end on its own after SIGTERM, before its whole process group is killed.
    quiet
        Its standard error is remembered for the case that it ends, instead of shown. Its standard
        output is remembered always.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        grace_seconds: float,
        quiet: bool = False,
    ) -> None:
        self._name = name
        self._command = tied(*command)
        self._environment = harmless_environment() | dict(environment or {})
        self._grace_seconds = grace_seconds
        self._quiet = quiet
        self._said: collections.deque[str] = collections.deque(maxlen=_REMEMBERED_LINES)
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._ended_once = threading.Event()
        self._stopping = threading.Event()
        # The kernel counts the thread that starts a child as its parent: one thread for life.
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._stopping.set()
            self._signal(signal.SIGTERM)
        self._thread.join(self._grace_seconds)
        if self._thread.is_alive():
            logger.warning("%s did not end within %g s: killed", self._name, self._grace_seconds)
            self._kill_group()
            self._thread.join()

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when ``ready()`` holds.

        Raises
        ------
        Unreachable
            The process ended, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self._ended_once.is_set() or time.monotonic() > deadline:
                raise Unreachable(f"{self._name} did not start within {seconds:g} s{self._tail()}")
            time.sleep(0.02)

    def has_said(self, words: str) -> bool:
        """Whether one of the last lines of its output holds ``words``."""
        return any(words in line for line in tuple(self._said))

    def _keep(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while (process := self._start()) is not None:
            began = time.monotonic()
            threading.Thread(target=self._listen, args=(process.stdout,), daemon=True).start()
            status = process.wait()
            self._kill_group()
            self._ended_once.set()
            if self._stopping.is_set():
                return
            if time.monotonic() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            words = "%s ended with status %d and will be restarted in %g s%s"
            logger.error(words, self._name, status, pause, self._tail())
            self._stopping.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _start(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            self._said.clear()
            self._process = subprocess.Popen(  # noqa: S603 -- the command is ours
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if self._quiet else None,
                text=True,
                errors="replace",
                # Ctrl-C must reach this process only, which then ends the others in order.
                process_group=0,
            )
            return self._process

    def _listen(self, output: IO[str]) -> None:
        with output:
            self._said.extend(line.rstrip() for line in output)

    def _tail(self) -> str:
        return "".join(f"\n  {line}" for line in tuple(self._said))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _kill_group(self) -> None:
        """End what the process started and left behind."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
