"""The state folder: one ``raiw serve`` at a time, readable by its owner only."""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from service.settings import InvalidSettings

_LOCK = "serve.lock"


def make_folder(path: Path) -> None:
    """Make the state folder, for its owner only, unless it exists.

    Raises
    ------
    InvalidSettings
        It cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from None


class StateFolder:
    """The folder held by this process between ``with`` and its end.

    The lock is the kernel's, so it ends with the process that took it; the file's text only tells
    the next process who holds it.

    Raises
    ------
    InvalidSettings
        The folder cannot be made or written, or another process serves it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = -1

    def __enter__(self) -> Self:
        make_folder(self._path)
        try:
            self._lock = os.open(self._path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unusable(self._path, error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(self._lock)
            os.close(self._lock)
            raise InvalidSettings(
                f"the state folder {self._path} is already served at {holder['url']} by process "
                f"{holder['pid']}: use that server, stop it, or choose another --state-dir"
            ) from None
        self.announce("an address not yet known")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.ftruncate(self._lock, 0)
        os.close(self._lock)

    def announce(self, url: str) -> None:
        """Write down where this process serves."""
        text = json.dumps({"pid": os.getpid(), "url": url}).encode()
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, text, 0)


def _read(lock: int) -> dict[str, object]:
    try:
        holder: dict[str, object] = json.loads(os.pread(lock, 4096, 0))
    except ValueError:  # read between taking the lock and writing to it
        holder = {"pid": "unknown", "url": "an address not yet known"}
    return holder


def _unusable(path: Path, error: OSError) -> InvalidSettings:
    return InvalidSettings(
        f"the state folder {path} cannot be used: {error.strerror}; choose another with "
        f"--state-dir or RAIW_STATE_DIR"
    )
