"""Style sheet, scripts and other files that never change under their address."""

import hashlib
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

PREFIX = "/pages/static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"
_DIGITS = 12
_PICTURES = "pictures.css"
"""Written from the palette of pictures."""


class Static:
    """The files of the folder ``static``, named in addresses by a digest of their content."""

    def __init__(self) -> None:
        self._folder = files("service.pages") / "static"
        self._paths = {path for path in _walk(self._folder) if _type_of(path)} | {_PICTURES}
        self._content = cache(self._read)

    def url(self, path: str) -> str:
        """Return the address of a file; another content has another one."""
        digest = hashlib.sha256(self._content(path)).hexdigest()
        return f"{PREFIX}/{path}?v={digest[:_DIGITS]}"

    def answer(self, path: str) -> Response:
        """Return a file."""
        if path not in self._paths:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        headers = {"Cache-Control": _FOREVER}
        return Response(self._content(path), headers=headers, media_type=_type_of(path))

    def _read(self, path: str) -> bytes:
        if path == _PICTURES:
            return _colours().encode()
        return self._folder.joinpath(*path.split("/")).read_bytes()


def _colours() -> str:
    """Return the style sheet that gives pictures their colours."""
    from raiw.pictures.palette import COLOURS  # loads numpy, which the API alone does not

    lines = (
        f"  --raiw-{name}: light-dark({colour.light}, {colour.dark});\n"
        for name, colour in COLOURS.items()
    )
    return f":root {{\n{''.join(lines)}}}\n"


def _type_of(path: str) -> str | None:
    return next((kind for end, kind in _TYPES.items() if path.endswith(end)), None)


def _walk(folder: "Traversable", before: str = "") -> list[str]:
    found = []
    for entry in folder.iterdir():
        name = f"{before}{entry.name}"
        found.extend(_walk(entry, f"{name}/") if entry.is_dir() else [name])
    return found
