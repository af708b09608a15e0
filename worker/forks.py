"""Processes that can be killed: the worker's side of what :mod:`worker.child` forks."""

import contextlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from service.settings import harmless_environment
from service.tether import tied
from worker.child import ENDED, LENGTH

_TICK_SECONDS = 0.2
"""How soon a process is killed once its work must stop."""
_DYING_SECONDS = 10.0
"""A process that outlives its kill by this hangs in the kernel; another program takes over."""
_BUFFER_BYTES = 1 << 16
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}


class ForkServer:
    """A program that stands ready and forks; it dies with the thread that called :meth:`open`.

    One process at a time: what the last one left behind ends when the next begins.
    """

    def __init__(self) -> None:
        self._program: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._dying = False
        """Whether the end of the last process has not been reported yet."""

    @property
    def pid(self) -> int | None:
        """The program's process id; None while it does not run."""
        return self._program.pid if self._program is not None else None

    def open(self) -> None:
        """Start the program unless it is running; it gets ready while this process continues."""
        if self._program is not None and self._program.poll() is None:
            return
        self.close()
        self._control, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            # -P: what is installed runs, not a source tree that happens to be the current folder.
            command = [sys.executable, "-P", "-m", "worker.child", str(descriptor)]
            self._program = subprocess.Popen(  # noqa: S603 -- the command is ours
                tied(*command),
                env=harmless_environment() | _ONE_THREAD,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[descriptor],
                process_group=0,  # a Ctrl-C of the terminal must reach the worker alone
            )

    def close(self) -> None:
        """End the program, and with it what it has forked."""
        if self._control is not None:
            self._control.close()
        if self._program is not None:
            self._program.kill()
            self._program.wait()
        self._control = self._program = None
        self._dying = False

    def fork(
        self,
        task: Mapping[str, Any],
        *,
        environment: Mapping[str, str],
        command: Sequence[str] = (),
    ) -> "Fork":
        """Start the process of a task, which becomes ``command`` if there is one."""
        order = json.dumps({"task": task, "environment": environment, "command": command}).encode()
        output, theirs = os.pipe()
        try:
            try:
                return self._send(order, output, theirs)
            except OSError:  # the program was killed meanwhile
                self.close()
                return self._send(order, output, theirs)
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(theirs)

    def _send(self, order: bytes, output: int, pipe: int) -> "Fork":
        self.open()
        assert self._control is not None  # noqa: S101 -- opened above
        self._bury()
        socket.send_fds(self._control, [len(order).to_bytes(LENGTH, "big")], [pipe])
        self._control.sendall(order)
        number = self._control.recv(LENGTH, socket.MSG_WAITALL)
        if not number:
            raise ConnectionResetError
        return Fork(self, self._control, int.from_bytes(number, "big"), output)

    def forget(self) -> None:
        """Note that nobody will kill the last process again: its id may be reused."""
        if self._control is not None:
            with contextlib.suppress(OSError):  # what forks has ended too
                self._control.sendall(ENDED)
            self._dying = True

    def _bury(self) -> None:
        """Wait for the end of the last process, which has been killed."""
        assert self._control is not None  # noqa: S101 -- the caller has opened it
        if self._dying:
            self._control.settimeout(_DYING_SECONDS)
            if self._control.recv(len(ENDED)) != ENDED:
                raise ConnectionResetError
            self._control.settimeout(None)
            self._dying = False


class Fork:
    """A process under way, between ``with`` and its end, where it and all it started are killed."""

    def __init__(self, server: ForkServer, control: socket.socket, pid: int, output: int) -> None:
        self.pid = pid
        self._server = server
        self._control = control
        self._output = output

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        os.close(self._output)
        self._server.forget()

    def messages(self, check: Callable[[], None]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield what the process reports until it has ended.

        A message is a line of JSON; its member ``bytes`` counts the bytes that follow and belong
        to it. ``check`` is called several times a second, and raises when the process must end.
        """
        pipe = _Pipe(self._output, self._control, check)
        stream = io.BufferedReader(pipe, _BUFFER_BYTES)
        for line in stream:
            message = json.loads(line)
            yield message, stream.read(message.pop("bytes", 0))


class _Pipe(io.RawIOBase):
    """The pipe of a process, at its end once the process has ended, whoever else still holds it."""

    def __init__(self, output: int, control: socket.socket, check: Callable[[], None]) -> None:
        super().__init__()
        self._output = output
        self._check = check
        self._poll = select.poll()
        self._poll.register(output, select.POLLIN)
        self._poll.register(control, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            self._check()
            ready = {descriptor for descriptor, _ in self._poll.poll(1000 * _TICK_SECONDS)}
            if self._output in ready:
                return os.readv(self._output, [buffer])
            if ready:
                return 0
