"""What a network costs: weights, operations and bytes, dense and sparse, layer by layer."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from raiw.errors import MissingExtra, TooLarge
from raiw.forms import FORMS
from raiw.masks.export import parts
from raiw.masks.mask import Mask
from raiw.masks.maskset import MaskSet
from raiw.names import check_name

MASK_FILE = "masks"
FILES = (MASK_FILE, *FORMS)
"""The mask file and every form of export."""

_FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class LayerAccount:
    """What one layer costs."""

    name: str
    weights: int
    """Weights kept."""
    dense_weights: int
    positions: int | None
    """Positions where the weights are used for one input; None if the spec does not give them."""
    bytes: Mapping[str, int]
    """Bytes of the layer's mask in each file, as stored."""

    @property
    def flops(self) -> int | None:
        """Operations of the kept weights for one input, two per weight and position."""
        return None if self.positions is None else 2 * self.weights * self.positions

    @property
    def dense_flops(self) -> int | None:
        """Operations of the dense layer for one input."""
        return None if self.positions is None else 2 * self.dense_weights * self.positions


@dataclass(frozen=True, slots=True)
class Account:
    """What a network costs, layer by layer and in total."""

    layers: tuple[LayerAccount, ...]
    container: Mapping[str, int]
    """Bytes of each file that belong to no layer: headers, directories, brackets."""

    @property
    def weights(self) -> int:
        """Weights kept."""
        return sum(layer.weights for layer in self.layers)

    @property
    def dense_weights(self) -> int:
        """Weights of the dense network."""
        return sum(layer.dense_weights for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the kept weights alone, as float32."""
        return _FLOAT32_BYTES * self.weights

    @property
    def dense_weight_bytes(self) -> int:
        """Bytes of the dense network's weights, as float32: what a checkpoint takes for them."""
        return _FLOAT32_BYTES * self.dense_weights

    @property
    def flops(self) -> int | None:
        """Operations of the kept weights for one input; None where positions are unknown."""
        return _sum(layer.flops for layer in self.layers)

    @property
    def dense_flops(self) -> int | None:
        """Operations of the dense network for one input; None where positions are unknown."""
        return _sum(layer.dense_flops for layer in self.layers)

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes of each file, to the byte."""
        return {
            file: held + sum(layer.bytes[file] for layer in self.layers)
            for file, held in self.container.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return the account as JSON-serialisable values."""
        return {
            "layers": [
                {"name": layer.name, **_costs(layer), "bytes": dict(layer.bytes)}
                for layer in self.layers
            ],
            **_costs(self),
            "weight_bytes": self.weight_bytes,
            "dense_weight_bytes": self.dense_weight_bytes,
            "container": dict(self.container),
            "bytes": self.bytes,
        }


def account(
    masks: MaskSet,
    files: Iterable[str] = FILES,
    *,
    on_file: Callable[[int, str], None] | None = None,
) -> Account:
    """Return what a network costs with these masks: per layer and in total, dense and sparse.

    Operations are those at the input size that the spec's positions are for. Bytes are exact. The
    mask file, ``bool`` and ``torch-prune`` are accounted for by shapes, without an array; the other
    forms are encoded, which takes as long as writing them. A text form that refuses that many edges
    is left out, and so is one whose package is missing.

    Parameters
    ----------
    masks
        Masks of a network.
    files
        Names of :data:`FILES`.
    on_file
        Called with the number of files accounted for, and the current one.

    Raises
    ------
    InvalidInput
        There is no such file.

    Examples
    --------
    >>> import raiw
    >>> masks = raiw.craft("raiw/vgg16-d16")
    >>> found = account(masks, ["masks", "bool"])
    >>> found.flops, found.dense_flops
    (174139392, 626927616)
    >>> found.bytes["masks"] == len(masks.to_bytes())
    True
    """
    sizes: dict[str, Counter[str | None]] = {}
    for done, file in enumerate(files):
        check_name(file, FILES, "kind of file")
        if on_file is not None:
            on_file(done, file)
        try:
            sizes[file] = _sizes(masks, file)
        except (MissingExtra, TooLarge):
            continue
    layers = tuple(_layer(mask, sizes) for mask in masks.values())
    return Account(layers, {file: found[None] for file, found in sizes.items()})


def _sizes(masks: MaskSet, file: str) -> Counter[str | None]:
    """Return the bytes of every layer, and those that belong to no layer."""
    sizes: Counter[str | None] = Counter()
    if file == MASK_FILE:
        sizes[None] = len(next(masks.chunks()))
        sizes.update({mask.name: mask.packed.nbytes for mask in masks.values()})
        return sizes
    for part in parts(masks, file):
        sizes[part.layer] += part.size
    return sizes


def _layer(mask: Mask, sizes: Mapping[str, Counter[str | None]]) -> LayerAccount:
    return LayerAccount(
        name=mask.name,
        weights=mask.weights,
        dense_weights=mask.dense_weights,
        positions=mask.layer.positions,
        bytes={file: found[mask.name] for file, found in sizes.items()},
    )


def _costs(of: LayerAccount | Account) -> dict[str, int | None]:
    return {
        "weights": of.weights,
        "dense_weights": of.dense_weights,
        "flops": of.flops,
        "dense_flops": of.dense_flops,
    }


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Return the sum; None if any number is None."""
    listed = list(numbers)
    known = [number for number in listed if number is not None]
    return sum(known) if len(known) == len(listed) else None
