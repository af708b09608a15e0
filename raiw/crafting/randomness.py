"""The random stream of the seeded algorithms: Philox4x32-10, our own draws, the same everywhere.

Philox (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011) turns a 64-bit key and
a 128-bit counter into 128 random bits. Every group of every layer has a key of its own, the first
8 bytes of the SHA-256 of (seed, layer name, group), so neither the order of layers nor threads
matter.

Word ``i`` of a stream is word ``i mod 4`` of the block with counter ``i div 4``. A number below
``n <= 2**32`` takes one 32-bit word and multiplies (Lemire's method, unbiased by rejection);
below a larger ``n`` it takes two, cuts them to the bits of ``n - 1`` and rejects what is too large.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raiw.canonical import canonical_json
from raiw.crafting.compiled import kernel


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
        text = canonical_json([self.seed, self.layer, self.group])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")

    def state(self) -> "State":
        """Return the stream's state at its first word, for :func:`below`."""
        state = np.zeros(_WORDS + 4, np.uint64)
        state[_KEY] = self.key
        return state


State = npt.NDArray[np.uint64]
_KEY, _DRAWN, _WORDS = 0, 1, 2

_32 = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@kernel
def _fill_block(state: State, counter: np.uint64) -> None:
    """Put the four words of block ``counter`` into the state."""
    k0, k1 = state[_KEY] & _LOW, state[_KEY] >> _32
    c0, c1, c2, c3 = counter & _LOW, counter >> _32, np.uint64(0), np.uint64(0)
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    state[_WORDS], state[_WORDS + 1], state[_WORDS + 2], state[_WORDS + 3] = c0, c1, c2, c3


@kernel
def _word(state: State) -> Any:
    """Draw the next 32-bit word."""
    drawn = state[_DRAWN]
    if drawn & np.uint64(3) == np.uint64(0):
        _fill_block(state, drawn >> np.uint64(2))
    state[_DRAWN] = drawn + np.uint64(1)
    return state[np.uint64(_WORDS) + (drawn & np.uint64(3))]


@kernel
def below(state: State, count: int) -> Any:
    """Draw a number uniformly from ``0 … count - 1``, with ``1 <= count < 2**63``."""
    n = np.uint64(count)
    if n > np.uint64(1) << _32:
        bits = np.uint64(1)
        while bits < n:
            bits <<= np.uint64(1)
        while True:
            low = _word(state)
            number = (low | _word(state) << _32) & (bits - np.uint64(1))
            if number < n:
                return np.int64(number)
    product = _word(state) * n
    if product & _LOW < n:
        reject = ((np.uint64(1) << _32) - n) % n
        while product & _LOW < reject:
            product = _word(state) * n
    return np.int64(product >> _32)
