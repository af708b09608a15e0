"""The random stream of the seeded algorithms: Philox4x32-10, our own draws, the same everywhere.

Philox (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011) turns a 64-bit key and
a 128-bit counter into 128 random bits. Every group of every layer has a key of its own, the first
8 bytes of the SHA-256 of (seed, layer name, group), so neither the order of layers nor threads
matter.

Word ``i`` of a stream is word ``i mod 4`` of the block with counter ``i div 4``; a number below
``n < 2**32`` takes one word and multiplies (Lemire's method, unbiased by rejection).

Edges of equal score are told apart by the word of the stream that has their flat index
``out·n_in + in``: the lower comes first, and of equal words that of the lower index.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raiw import kernels
from raiw.canonical import canonical_json


@dataclass(frozen=True, slots=True)
class Stream:
    """The random stream of one group of one layer.

    >>> hex(Stream(seed=0, layer="fc", group=0).key)
    '0x599d81a85b8897fd'
    """

    seed: int
    layer: str
    group: int

    @property
    def key(self) -> int:
        """The 64-bit Philox key."""
        return _key(self.seed, self.layer, self.group)

    def part(self, index: int) -> int:
        """Return the key of one part of the stream, such as one vertex's own."""
        return _key(self.seed, self.layer, self.group, index)


def _key(*words: int | str) -> int:
    text = canonical_json(list(words))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def edge_keys(edges: npt.NDArray[np.int64], stream: Stream) -> npt.NDArray[np.uint32]:
    """Return the words of a stream at the flat indices of some edges.

    >>> edge_keys(np.arange(3), Stream(seed=0, layer="fc", group=0)).tolist()
    [3767265438, 851351877, 1674843787]
    """
    keys = np.empty(edges.size, np.uint32)
    kernels.edge_keys(stream.key, np.ascontiguousarray(edges.reshape(-1), np.int64), keys)
    return keys.reshape(edges.shape)
