"""Canonical bytes: one JSON text and one digest for one meaning, on every machine.

Keys are sorted, no space is written, text is UTF-8, and floats are written by Python's shortest
round-trip rule. NaN and infinities are refused.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a JSON-serialisable value.

    >>> canonical_json({"b": 1, "a": [1.0, "é"]})
    '{"a":[1.0,"é"],"b":1}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest_of(data: bytes) -> str:
    """Return the digest of ``data`` as ``sha256:<64 hex digits>``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of_json(value: Any) -> str:
    """Return the digest of a value's canonical JSON."""
    return digest_of(canonical_json(value).encode())


def digest_of_chunks(chunks: Iterable[bytes | memoryview]) -> str:
    """Return the digest of the chunks' bytes, one after the other."""
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return f"sha256:{sha256.hexdigest()}"


def digest_of_file(path: Path) -> str:
    """Return the digest of a file's bytes, read in pieces of 1 MiB."""
    with path.open("rb") as file:
        return digest_of_chunks(iter(lambda: file.read(CHUNK_BYTES), b""))
