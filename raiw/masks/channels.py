"""Channel masks: which filters of each layer are kept, and their file.

The file is safetensors: one BOOL tensor by layer name over its filters, and one metadata key
``raiw`` with canonical JSON: the format, the method with its options, what it measured, and the
content digest over names and bits.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from raiw.canonical import digest_of_json
from raiw.errors import InvalidMasks, NotFound
from raiw.files import write_atomically
from raiw.graphs import Bools
from raiw.tensors import from_metadata, to_metadata

FORMAT = "raiw.channels@1"

KeptFilters = dict[str, Bools]
"""Which filters are kept, by layer name."""


@dataclass(frozen=True, eq=False)
class ChannelMasks:
    """Which filters are kept, by layer name, and how they were chosen."""

    kept: KeptFilters
    method: str
    options: dict[str, Any]
    facts: dict[str, dict[str, float]]
    """What the method measured, by layer name."""

    @property
    def digest(self) -> str:
        """Digest of names and bits, regardless of the method."""
        return digest_of_json({name: bits.tolist() for name, bits in self.kept.items()})

    @property
    def channel_sparsity(self) -> float:
        """Removed filters over all filters of the named layers."""
        total = sum(len(filters) for filters in self.kept.values())
        left = sum(int(filters.sum()) for filters in self.kept.values())
        return 1 - left / total if total else 0.0

    def after(self, before: "ChannelMasks | None") -> "ChannelMasks":
        """Return what stays of a whole network of which ``before`` had left those chosen from here.

        >>> first = ChannelMasks({"a": np.array([True, False, True])}, "l1_filter", {}, {})
        >>> second = ChannelMasks({"a": np.array([False, True])}, "l1_filter", {}, {})
        >>> second.after(first).kept
        {'a': array([False, False,  True])}
        """
        if before is None:
            return self
        kept = dict(before.kept)
        for name, bits in self.kept.items():
            whole = kept.get(name, np.ones(len(bits), np.bool_)).copy()
            whole[whole] = bits
            kept[name] = whole
        return replace(self, kept=_in_order(kept))

    def to_json(self) -> dict[str, Any]:
        """Return the choice as JSON-serialisable values, without the bits."""
        return {
            "method": self.method,
            "options": self.options,
            "digest": self.digest,
            "channel_sparsity": self.channel_sparsity,
            "layers": [
                {"name": name, "filters": len(bits), "kept": int(bits.sum())}
                | self.facts.get(name, {})
                for name, bits in self.kept.items()
            ],
        }

    def save(self, path: str | Path) -> None:
        """Write the channel masks to a file, whole or not at all."""
        document = {"format": FORMAT, **self.to_json(), "facts": self.facts}
        del document["layers"]
        write_atomically(Path(path), [save(dict(self.kept), to_metadata(document))])


def load(path: str | Path) -> ChannelMasks:
    """Read a file of channel masks.

    Raises
    ------
    NotFound
        There is no such file.
    InvalidMasks
        It is not a file of channel masks, or it is damaged.
    """
    if not Path(path).is_file():
        raise NotFound(f"no file {str(path)!r}")
    try:
        with safe_open(path, "numpy") as file:
            document = from_metadata(file.metadata() or {})
            kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
        masks = ChannelMasks(
            _in_order(kept), document["method"], document["options"], document["facts"]
        )
        intact = document["format"] == FORMAT and document["digest"] == masks.digest
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InvalidMasks(f"{str(path)!r} is not a file of channel masks: {error}") from None
    if not intact or any(bits.dtype != np.bool_ or bits.ndim != 1 for bits in kept.values()):
        raise InvalidMasks(f"{str(path)!r} is damaged: its bits do not give the digest it states")
    return masks


def _in_order(kept: KeptFilters) -> KeptFilters:
    return {name: kept[name] for name in sorted(kept)}
