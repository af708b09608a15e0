"""Files: mapped into memory when read; written whole or not at all."""

import contextlib
import errno
import mmap
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from raiw.errors import DiskFull, InvalidInput, NotFound

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Numbers of the errors that mean: there is no room."""


def map_file(path: Path) -> mmap.mmap | bytes:
    """Return a file's bytes, mapped into memory: only what is touched is read."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@contextlib.contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """Let errors about the content of a file say which file it is."""
    try:
        yield
    except InvalidInput as error:
        if str(source) in error.message:
            raise
        raise type(error)(
            f"{source}: {error.message}", pointer=error.pointer, **error.details
        ) from None


def write_atomically(
    path: str | Path, chunks: Iterable[bytes | memoryview], *, mode: int | None = None
) -> None:
    """Write a file beside its name, flush it to the disk and rename it into place.

    Anybody who opens ``path`` meanwhile, or after a crash, sees the old file or the new one. A
    device or pipe is written straight. With ``mode`` the file has these permissions from the start.

    Raises
    ------
    NotFound
        The folder does not exist.
    DiskFull
        There is no room; the old file is untouched.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        # Not by its real path: that of a pipe in /dev/fd is no path at all.
        with room_for(path), path.open("wb") as file:
            file.writelines(chunks)
        return
    target = path.resolve()
    if not target.parent.is_dir():
        raise NotFound(f"no folder {str(target.parent)!r} to write {target.name!r} into")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with room_for(target), _create(part, mode) as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        move_into_place(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def move_into_place(part: Path, target: Path) -> None:
    """Give a finished file its name; what had the name before is replaced."""
    target = target.resolve()
    part.replace(target)
    _flush_folder(target.parent)


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Let errors of a disk without room say so, and for what.

    Raises
    ------
    DiskFull
        There is no room.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFull(
            f"no room to write {str(path)!r} ({error.strerror}): make room and start again"
        ) from None


def require_room(folder: Path, size: int) -> None:
    """Require that so many bytes can be written into a folder, as far as is known now.

    Raises
    ------
    DiskFull
        There is less room.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DiskFull(
            f"{size:,} bytes are needed in {str(folder)!r}, {free:,} are free: make room, or give "
            f"a path on another disk"
        )


def _create(path: Path, mode: int | None) -> BinaryIO:
    if mode is None:
        return path.open("xb")
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")


def _flush_folder(folder: Path) -> None:
    # Without this a power cut may lose the rename; Windows cannot open folders and needs no flush.
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
