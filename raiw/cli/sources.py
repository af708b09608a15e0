"""What an argument of the command names: masks, a saved plan or a spec."""

import re
from pathlib import Path

from raiw.canonical import SHORT_SHA256

_LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, which is JSON."""


def names_stored(source: str) -> bool:
    """Whether masks on a server are meant: a digest, or its beginning.

    >>> names_stored("sha256:34e1dde4"), names_stored("sha256.yaml")
    (True, False)
    """
    return re.fullmatch(SHORT_SHA256, source) is not None


def holds_masks(source: str) -> bool:
    """Whether masks are meant: a digest, standard input, or a safetensors file.

    >>> holds_masks("-"), holds_masks("a.safetensors"), holds_masks("raiw/vgg16-d16")
    (True, True, False)
    """
    if source == "-" or names_stored(source) or source.endswith(".safetensors"):
        return True
    path = Path(source)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES + 1)
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    return start[_LENGTH_BYTES:] == b"{" and length <= path.stat().st_size
