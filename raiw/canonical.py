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
SHA256 = "sha256:[0-9a-f]{64}"
"""What a digest looks like, as a pattern."""
SHORT_SHA256 = "sha256:[0-9a-f]{6,64}"
"""What a digest or the beginning of one looks like, as people give it."""

_PREFIX = "sha256:"


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
    return digest_of_hash(hashlib.sha256(data))


def digest_of_json(value: Any) -> str:
    """Return the digest of a value's canonical JSON."""
    return digest_of(canonical_json(value).encode())


def digest_of_chunks(chunks: Iterable[bytes | memoryview]) -> str:
    """Return the digest of the chunks' bytes, one after the other."""
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return digest_of_hash(sha256)


def digest_of_file(path: Path) -> str:
    """Return the digest of a file's bytes, read in pieces of 1 MiB."""
    with path.open("rb") as file:
        return digest_of_chunks(iter(lambda: file.read(CHUNK_BYTES), b""))


def digest_of_hash(sha256: "hashlib._Hash") -> str:
    """Return the digest of what a running SHA-256 has seen."""
    return digest_of_hex(sha256.hexdigest())


def is_digest(name: object) -> bool:
    """Whether a text is meant as a digest, not as a file or a name; it may still be malformed.

    >>> is_digest("sha256:1f"), is_digest("masks.safetensors")
    (True, False)
    """
    return str(name).startswith(_PREFIX)


def digest_of_hex(digits: str) -> str:
    """Return the digest of its hex digits; undoes :func:`hex_digits`."""
    return f"{_PREFIX}{digits}"


def hex_digits(digest: str) -> str:
    """Return a digest without the name of its algorithm.

    >>> hex_digits("sha256:1f")
    '1f'
    """
    return digest.removeprefix(_PREFIX)
