"""Masks that came from servers, kept on this machine: their digest says that they are the same."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raiw.canonical import hex_digits
from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption
from raiw.cli.output import Output

if TYPE_CHECKING:
    from raiw.client import Client
    from raiw.masks import MaskSet

commands = typer.Typer()

MOST_BYTES = 2 << 30
"""Above it the masks that nobody has used for longest go."""


def cached_masks(digest: str, client: "Client") -> "MaskSet":
    """Return stored masks: from this machine's cache, or from the server and then into it.

    Raises
    ------
    NotFound
        The server has no such masks.
    """
    from raiw.errors import InvalidMasks
    from raiw.masks import load

    path = cache_folder() / f"{hex_digits(digest)}.safetensors"
    with suppress(InvalidMasks, OSError):
        if path.is_file() and (masks := load(path)).digest == digest:
            os.utime(path)
            return masks
    masks = client.masks(digest)
    with suppress(OSError):  # a cache that cannot be written is none
        path.parent.mkdir(parents=True, exist_ok=True)
        masks.save(path)
        _make_room(keep=path)
    return masks


def cache_folder() -> Path:
    """Return the folder of the cache, which may not exist."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "raiw" / "masks"
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "raiw" / "masks"


@commands.command(epilog=examples("raiw cache", "raiw cache --clear"))
def cache(
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Remove what is kept.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show where masks from servers are kept on this machine, and how many; or remove them."""
    out = Output(json=json, quiet=quiet)
    files = _files()
    size = sum(bytes_ for _, bytes_, _ in files)
    if clear:
        for path, _, _ in files:
            path.unlink(missing_ok=True)
    folder = str(cache_folder())
    if out.json:
        facts = {"folder": folder, "masks": len(files), "bytes": size, "cleared": clear}
        out.document(facts)
    elif out.quiet:
        out.line(folder)
    else:
        what = f"{len(files)} {'file' if len(files) == 1 else 'files'}, {size:,} bytes"
        out.line(f"{folder}: {what} removed" if clear else f"{folder}: {what}")


def _files() -> list[tuple[Path, int, float]]:
    """Return every file of the cache with its size and last use, the longest unused first."""
    found = []
    for path in cache_folder().glob("*.safetensors"):
        with suppress(FileNotFoundError):  # another command has removed it
            stat = path.stat()
            found.append((path, stat.st_size, stat.st_mtime))
    return sorted(found, key=lambda file: file[2])


def _make_room(keep: Path) -> None:
    files = _files()
    size = sum(bytes_ for _, bytes_, _ in files)
    for path, bytes_, used in files:
        if size <= MOST_BYTES:
            return
        if path != keep and used <= time.time():
            path.unlink(missing_ok=True)
            size -= bytes_
