"""The safetensors container, checked before anything trusts it. Pure Python: no array is touched.

A file is eight bytes of little-endian header length, a JSON header, then the tensors' bytes. The
header alone tells whether a file is acceptable, so an upload is judged from its first bytes:

>>> data, tensors = write_header([("fc.weight", "F32", (2, 3))])
>>> header_end(data[:8]), header_end(data)
(9, 80)
>>> read_header(data, file_size=80 + 24).tensors["fc.weight"].shape
(2, 3)

The limits are far below the format's own 100 MB header, which alone can exhaust a server.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from mmap import mmap
from typing import Any

from raiw.canonical import canonical_json
from raiw.errors import InvalidTensors, TooLarge

METADATA_KEY = "raiw"
"""The only metadata key that raiw writes; its value is canonical JSON."""

MAX_HEADER_BYTES = 8 << 20
MAX_TENSORS = 20_000
MAX_RANK = 8
MAX_METADATA_BYTES = 64 << 10
"""Most metadata of an upload; mask files keep their statistics there and may fill the header."""

DTYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Bits of an element, in the format's own order of types."""

_METADATA = "__metadata__"
_LENGTH_BYTES = 8
_MAX_OFFSET = (1 << 63) - 1
_NAME = re.compile(r"[A-Za-z0-9_.:/@+=,()\[\]\-]{1,256}")
_FIELDS = {"dtype", "shape", "data_offsets"}
_ORDER = {dtype: position for position, dtype in enumerate(DTYPE_BITS)}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file."""

    name: str
    dtype: str
    """A key of :data:`DTYPE_BITS`."""
    shape: tuple[int, ...]
    start: int
    """Position of its first byte in the file."""
    end: int
    """Position after its last byte."""


@dataclass(frozen=True, slots=True)
class Header:
    """A checked header: the tensors cover the file from the header's end to its own end."""

    tensors: Mapping[str, Tensor]
    """By name, in the order of their bytes."""
    size: int
    """Bytes of the whole file."""
    metadata: Mapping[str, str] = field(default_factory=dict)


def to_metadata(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of a file that describes itself with a document."""
    return {METADATA_KEY: canonical_json(document)}


def from_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the document with which a file describes itself.

    Raises
    ------
    ValueError
        There is none.
    """
    try:
        document = json.loads(metadata.get(METADATA_KEY, ""))
    except RecursionError:
        document = None
    if not isinstance(document, dict):
        raise ValueError(f"its metadata has no JSON object under the key {METADATA_KEY!r}")  # noqa: TRY004 -- of the value's form
    return document


def header_end(prefix: bytes | mmap) -> int:
    """Return how many bytes of the file are needed to read its header.

    With fewer than nine bytes that is nine: the length, and the brace that tells a safetensors
    file from another. From then on it is where the header ends.

    Raises
    ------
    InvalidTensors
        The first bytes are not a safetensors file's.
    TooLarge
        The header is longer than 8 MiB.
    """
    if len(prefix) <= _LENGTH_BYTES:
        return _LENGTH_BYTES + 1
    if prefix[_LENGTH_BYTES] != ord("{"):
        raise InvalidTensors(
            "not a safetensors file: byte 8 must open the JSON header; convert checkpoints of "
            "other formats with safetensors.torch.save_file or safetensors.numpy.save_file"
        )
    length = int.from_bytes(prefix[:_LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        raise TooLarge(
            f"the safetensors header claims {length} bytes; {MAX_HEADER_BYTES} are allowed: "
            f"split the file, or leave out tensors that are not layers",
            limit=MAX_HEADER_BYTES,
        )
    return _LENGTH_BYTES + length


def read_header(
    prefix: bytes | mmap, file_size: int | None = None, *, max_metadata: int = MAX_METADATA_BYTES
) -> Header:
    """Check a header and return its contents.

    Parameters
    ----------
    prefix
        The file's first bytes, at least :func:`header_end` of them; more do no harm.
    file_size
        Bytes of the whole file, None when not known yet; then compare ``Header.size`` later.
    max_metadata
        Bytes the metadata may have.

    Raises
    ------
    InvalidTensors
        The header is malformed, or lies about types, shapes, offsets or the file's size.
    TooLarge
        A limit is exceeded: header, tensors, rank or metadata.
    """
    end = header_end(prefix)
    if len(prefix) < end or (file_size is not None and file_size < end):
        got = len(prefix) if file_size is None else min(len(prefix), file_size)
        raise InvalidTensors(
            f"the safetensors file is truncated: its header ends at byte {end}, "
            f"but there are {got} bytes"
        )
    document = _decode(bytes(prefix[_LENGTH_BYTES:end]), max_metadata)
    metadata = _metadata(document.pop(_METADATA, {}), max_metadata)
    if len(document) > MAX_TENSORS:
        raise _too_many_tensors()
    tensors = [_tensor(name, entry, end) for name, entry in document.items()]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.end))
    size = _check_cover(tensors, end)
    if file_size is not None and size != file_size:
        fault = "truncated" if size > file_size else "followed by other bytes"
        raise InvalidTensors(
            f"the safetensors file is {fault}: its tensors end at byte {size}, "
            f"but the file has {file_size} bytes"
        )
    return Header({tensor.name: tensor for tensor in tensors}, size, metadata)


def write_header(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None
) -> tuple[bytes, list[Tensor]]:
    """Return the one header of the given ``(name, dtype, shape)``, and where each tensor goes.

    Wide types come first, then names in order, and the header is padded to eight bytes, so every
    tensor is aligned. These are the bytes the safetensors package writes too.
    """
    ordered = sorted(tensors, key=lambda tensor: (-_ORDER[tensor[1]], tensor[0]))
    document: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    offset = 0
    for name, dtype, shape in ordered:
        after = offset + math.prod(shape) * DTYPE_BITS[dtype] // 8
        document[name] = {"dtype": dtype, "shape": shape, "data_offsets": (offset, after)}
        offset = after
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    end = _LENGTH_BYTES + len(text)
    placed = [
        Tensor(name, dtype, shape, *(end + at for at in document[name]["data_offsets"]))
        for name, dtype, shape in ordered
    ]
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text, placed


def _decode(text: bytes, max_metadata: int) -> dict[str, Any]:
    # A header of tensors has three brackets each; one of brackets only would cost much memory.
    if text.count(b"[") + text.count(b"{") > 3 * MAX_TENSORS + 2 + max_metadata:
        raise _too_many_tensors()
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise InvalidTensors(f"the safetensors header is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidTensors("the safetensors header is not a JSON object")
    return document


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, refusing a key given twice: readers differ on which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InvalidTensors(f"the safetensors header gives {twice[:80]!r} twice")
    return found


def _too_many_tensors() -> TooLarge:
    return TooLarge(
        f"the safetensors file has more than {MAX_TENSORS} tensors: leave out tensors that are "
        f"not layers, or split it",
        limit=MAX_TENSORS,
    )


def _metadata(value: Any, limit: int) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidTensors("the safetensors __metadata__ must map strings to strings")
    size = sum(
        len(part.encode("utf-8", "surrogatepass")) for pair in value.items() for part in pair
    )
    if size > limit:
        raise TooLarge(
            f"the safetensors metadata has {size} bytes; {limit} are allowed: save the file "
            f"without metadata",
            limit=limit,
        )
    return value


def _tensor(name: str, entry: Any, header_bytes: int) -> Tensor:
    if not _NAME.fullmatch(name):
        raise InvalidTensors(
            f"tensor name {name[:80]!r} is not allowed: use 1 to 256 letters, digits and "
            f"_ . : / @ + = , ( ) [ ] -"
        )
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise InvalidTensors(f"tensor {name!r} must have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise InvalidTensors(
            f"tensor {name!r} has the unknown dtype {str(dtype)[:40]!r}; "
            f"safetensors knows {', '.join(DTYPE_BITS)}"
        )
    _check_whole_numbers(name, "shape", shape)
    _check_whole_numbers(name, "data_offsets", offsets)
    if len(shape) > MAX_RANK:
        raise TooLarge(
            f"tensor {name!r} has {len(shape)} dimensions; {MAX_RANK} are allowed", limit=MAX_RANK
        )
    bits = math.prod(shape) * DTYPE_BITS[dtype]
    if len(offsets) != 2 or bits != 8 * (offsets[1] - offsets[0]):  # noqa: PLR2004
        raise InvalidTensors(
            f"tensor {name!r} of dtype {dtype} and shape {shape} needs {-(-bits // 8)} bytes, "
            f"but its data_offsets are {offsets}"
        )
    return Tensor(name, dtype, tuple(shape), header_bytes + offsets[0], header_bytes + offsets[1])


def _check_whole_numbers(name: str, what: str, value: Any) -> None:
    if not isinstance(value, list) or not all(
        type(number) is int and 0 <= number <= _MAX_OFFSET for number in value
    ):
        raise InvalidTensors(
            f"tensor {name!r}: {what} must be a list of whole numbers from 0 to 2^63 - 1"
        )


def _check_cover(tensors: list[Tensor], start: int) -> int:
    """Require that tensors follow each other without hole or overlap; return where they end."""
    at = start
    for tensor in tensors:
        if tensor.start != at:
            fault = "overlaps the tensor before it" if tensor.start < at else "leaves a hole"
            raise InvalidTensors(
                f"tensor {tensor.name!r} {fault}: it starts at byte {tensor.start} of the file, "
                f"and the bytes before it end at {at}"
            )
        at = tensor.end
    return at
