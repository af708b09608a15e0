"""PNG files of few colours, written directly: the same bytes wherever zlib is the same."""

import struct
import zlib

import numpy as np
import numpy.typing as npt

from raiw.pictures.palette import Ramp

_INDEXED = 3


def indexed_png(levels: npt.NDArray[np.uint8], ramp: Ramp) -> bytes:
    """Return the PNG of ``(height, width)`` indices into a ramp of at most 256 colours."""
    height, width = levels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = levels
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _INDEXED, 0, 0, 0)),
            _chunk(b"PLTE", ramp[:, :3].tobytes()),
            _chunk(b"tRNS", ramp[:, 3].tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
