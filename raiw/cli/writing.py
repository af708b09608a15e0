"""Where a command's file goes: checked before the work, and never over another result."""

import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from raiw.errors import DiskFull, InvalidInput, NotFound
from raiw.files import FULL, move_into_place, write_atomically

STDOUT = "-"

ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace a file that holds something else.")
]

_STDOUT_NAMES = frozenset({"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})
_PIECE = 1 << 20


@dataclass(slots=True)
class Target:
    """A file to write, standard output (``-``), or a pipe; made by :func:`target`."""

    name: str
    force: bool
    pipe: BinaryIO | None = None

    @property
    def stdout(self) -> bool:
        """Whether the bytes go to standard output."""
        return self.name == STDOUT

    @property
    def folder(self) -> Path | None:
        """The folder of a file; None for what is no file."""
        return None if self.stdout or self.pipe is not None else Path(self.name).resolve().parent

    def write(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Write the chunks.

        Raises
        ------
        InvalidInput
            The file exists and holds something else; what was to be written lies beside it.
        DiskFull
            There is no room.
        """
        if self.stdout or self.pipe is not None:
            self._send(chunks)
            return
        with self.path() as part:
            write_atomically(part, chunks)

    @contextmanager
    def path(self) -> Iterator[Path]:
        """Yield the path of a file to fill, whose content reaches the target at the end."""
        with filled({"": self}) as parts:
            yield parts[""]

    def part(self) -> Path:
        """Return the path of a file that can become the target."""
        if self.stdout or self.pipe is not None:
            descriptor, name = tempfile.mkstemp(prefix="raiw-")
            os.close(descriptor)
            return Path(name)
        file = Path(self.name).resolve()
        return file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")

    def place(self, part: Path) -> None:
        """Let the target have the content of a part; raises what :meth:`write` does."""
        if self.stdout or self.pipe is not None:
            self._send(_pieces(part))
        else:
            self._place(part, Path(self.name).resolve())

    def _place(self, part: Path, file: Path) -> None:
        if self.force or not file.exists() or _same(part, file):
            move_into_place(part, file)
            return
        kept = next(
            path
            for number in range(1, sys.maxsize)
            if not (path := file.with_name(f"{file.stem}.{number}{file.suffix}")).exists()
        )
        move_into_place(part, kept)
        raise InvalidInput(
            f"{self.name!r} holds something else and is left as it is; the new file is "
            f"{str(kept)!r}: rename one of them, or replace the old one by --force",
            written=str(kept),
        )

    def _send(self, chunks: Iterable[bytes | memoryview]) -> None:
        opened = nullcontext(sys.stdout.buffer) if self.pipe is None else self.pipe
        try:
            with opened as stream:
                stream.writelines(chunks)
                stream.flush()
        except OSError as error:
            if error.errno in FULL:
                where = "standard output" if self.stdout else repr(self.name)
                raise DiskFull(f"no room to write to {where} ({error.strerror})") from None
            raise


@contextmanager
def filled(targets: Mapping[str, Target]) -> Iterator[dict[str, Path]]:
    """Yield the paths of files to fill, whose contents reach the targets at the end.

    What one target refuses does not keep the others from theirs.
    """
    parts = {name: each.part() for name, each in targets.items()}
    refused: InvalidInput | None = None
    try:
        yield parts
        for name, each in targets.items():
            try:
                each.place(parts[name])
            except InvalidInput as error:
                refused = error
        if refused is not None:
            raise refused
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def target(
    name: str | Path, *, force: bool = False, json: bool = False, text: bool = False
) -> Target:
    """Return the target of that name, checked as far as can be done before there is content.

    Parameters
    ----------
    force
        Replace what is there, whatever it is.
    json
        Whether ``--json`` takes standard output.
    text
        Whether a terminal may be given the content.

    Raises
    ------
    NotFound
        There is no such folder.
    InvalidInput
        It is a folder or a device, may not be written, is a pipe that nobody reads, or is standard
        output, which has another use.
    """
    name = str(name)
    if name in {STDOUT, *_STDOUT_NAMES}:
        if json:
            raise InvalidInput("-o - and --json both use stdout: give a file to one of them")
        if not text and sys.stdout.isatty():
            raise InvalidInput(
                "-o - would write binary data to the terminal: redirect it, or give a file"
            )
        return Target(STDOUT, force)
    path = Path(name)
    if not path.absolute().parent.is_dir():
        raise NotFound(f"cannot write {name!r}: there is no folder {str(path.parent)!r}; make it")
    if path.is_dir():
        inside = str(path / "NAME")
        raise InvalidInput(f"cannot write {name!r}: it is a folder; give a file, as in {inside!r}")
    if path.exists() and not path.is_file():
        return Target(name, force, _special(path))
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise InvalidInput(f"cannot write {name!r}: permission is missing; give another path")
    return Target(name, force)


def optional_target(
    name: str | None, *, force: bool, json: bool, text: bool = False
) -> Target | None:
    """Return the target of an option that may be left out."""
    return None if name is None else target(name, force=force, json=json, text=text)


def _special(path: Path) -> BinaryIO:
    """Open a pipe, or the device that forgets everything."""
    mode = path.stat().st_mode
    if str(path) != os.devnull and not stat.S_ISFIFO(mode):
        raise InvalidInput(
            f"cannot write {str(path)!r}: it is neither a file nor a pipe; give a file, or - for "
            f"standard output"
        )
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise InvalidInput(
            f"cannot write {str(path)!r}: nobody reads from this pipe ({error.strerror}); start "
            f"its reader first"
        ) from None
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb")


def _same(a: Path, b: Path) -> bool:
    return a.stat().st_size == b.stat().st_size and all(
        one == other for one, other in zip(_pieces(a), _pieces(b), strict=True)
    )


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
