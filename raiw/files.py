"""Files: mapped into memory when read; written whole or not at all."""

import contextlib
import errno
import mmap
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from raiw.errors import DiskFull, NotFound

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def map_file(path: Path) -> mmap.mmap | bytes:
    """Return a file's bytes, mapped into memory: only what is touched is read."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def write_atomically(path: str | Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file beside its name, flush it to the disk and rename it into place.

    Anybody who opens ``path`` meanwhile, or after a crash, sees the old file or the new one. A
    device or pipe is written straight.

    Raises
    ------
    NotFound
        The folder does not exist.
    DiskFull
        There is no room; the old file is untouched.
    """
    target = Path(path).resolve()
    if not target.parent.is_dir():
        raise NotFound(f"no folder {str(target.parent)!r} to write {target.name!r} into")
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            file.writelines(chunks)
        return
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise DiskFull(
                f"no room to write {str(target)!r} ({error.strerror}): make room and start again"
            ) from None
        raise
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    # Without this a power cut may lose the rename; Windows cannot open folders and needs no flush.
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
