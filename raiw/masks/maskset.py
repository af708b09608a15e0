"""The masks of one network, with where they came from."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from raiw.canonical import SHA256, digest_of_chunks, is_digest
from raiw.errors import InvalidMasks, NotFound
from raiw.files import map_file, naming, write_atomically
from raiw.masks.compare import Difference, compare
from raiw.masks.file import Content, Origin, content_digest, decode, describe_masks, encode
from raiw.masks.mask import Mask
from raiw.names import nearest
from raiw.specs.dead import DeadUnits, dead_units
from raiw.specs.spec import Spec
from raiw.statistics import LayerStatistics


class MaskSet(Mapping[str, Mask]):
    """The masks of one network by layer name, in the spec's order; immutable.

    Two sets are equal when their digests are: same layers, same shapes, same bits.

    >>> import raiw
    >>> masks = raiw.craft({
    ...     "layers": [{"name": "fc", "kind": "linear", "in_features": 8, "out_features": 4}],
    ...     "craft": {"degree": 2},
    ... })
    >>> masks["fc"].out_degrees().tolist(), masks.density
    ([4, 4, 4, 4], 0.5)
    """

    def __init__(
        self,
        masks: Iterable[Mask],
        origin: Origin | Callable[[], Origin],
        *,
        claimed_digest: str | None = None,
    ) -> None:
        self._masks = {mask.name: mask for mask in masks}
        self._origin = origin
        self.claimed_digest = claimed_digest
        """The digest the file claims; :func:`raiw.verify` compares it with ``digest``."""

    @cached_property
    def origin(self) -> Origin:
        """The masks' origin; the scores are digested when it is first asked for."""
        return self._origin if isinstance(self._origin, Origin) else self._origin()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_origin": self.origin}

    def __getitem__(self, name: str) -> Mask:
        try:
            return self._masks[name]
        except KeyError:
            raise KeyError(f"no layer {name!r}{nearest(name, list(self._masks))}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MaskSet) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        name = f" {self.origin.spec['name']}" if self.origin.spec.get("name") else ""
        return (
            f"<MaskSet{name}: {len(self)} layers, {self.weights} of {self.dense_weights} "
            f"weights, {self.digest[:19]}…>"
        )

    def _repr_html_(self) -> str:
        from raiw.masks.html import set_html

        return set_html(self)

    @cached_property
    def spec(self) -> Spec:
        """The spec the masks were crafted from."""
        return Spec.parse(self.origin.spec)

    @cached_property
    def digest(self) -> str:
        """The identity of the masks: digest of names, shapes and bits."""
        return content_digest(self._masks.values())

    @property
    def algorithm(self) -> str:
        """Name of the algorithm that crafted the masks."""
        return self.origin.algorithm

    @property
    def seed(self) -> int:
        """Seed the masks were crafted with."""
        return self.origin.seed

    @property
    def importance(self) -> str | None:
        """Digest of the importance file; None without one."""
        return self.origin.importance

    @property
    def edges(self) -> int:
        """Kept edges of the whole network."""
        return sum(mask.edges for mask in self.values())

    @property
    def weights(self) -> int:
        """Kept weights of the whole network."""
        return sum(mask.weights for mask in self.values())

    @property
    def dense_weights(self) -> int:
        """Weights of the dense network."""
        return sum(mask.dense_weights for mask in self.values())

    @property
    def density(self) -> float:
        """Kept weights over all weights."""
        return self.weights / self.dense_weights

    @property
    def dead_units(self) -> list[DeadUnits]:
        """The layers that leave outputs without an input edge, or inputs without an output edge."""
        return dead_units((name, mask.facts) for name, mask in self.items())

    def stats(self) -> dict[str, LayerStatistics]:
        """Return every layer's statistics, entropies included; each is computed once.

        Large layers take seconds; ``masks[name].stats`` gives one layer's alone.
        """
        return {name: mask.stats for name, mask in self.items()}

    def diff(self, other: "MaskSet") -> Difference:
        """Return what this set and another share, layer by layer."""
        return compare(self, other)

    def to_json(self) -> dict[str, Any]:
        """Return the document in the mask file: origin, facts and digest."""
        return dict(self._document)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return describe_masks(self.origin, self.values(), self.digest)

    @cached_property
    def _file(self) -> tuple[bytes | memoryview, ...]:
        """The mask file in pieces: its header, and views of the bits."""
        return tuple(encode(self._document, self._masks))

    @cached_property
    def file_sha256(self) -> str:
        """Digest of the mask file's bytes."""
        return digest_of_chunks(self._file)

    @property
    def file_bytes(self) -> int:
        """Size of the mask file."""
        return sum(memoryview(chunk).nbytes for chunk in self._file)

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the mask file in pieces, without a copy of the bits."""
        return iter(self._file)

    def to_bytes(self) -> bytes:
        """Return the mask file's bytes: the same on every machine."""
        return b"".join(self.chunks())

    def save(self, path: str | Path) -> None:
        """Write the mask file; an existing file is replaced as a whole or not at all."""
        write_atomically(path, self.chunks())


def load(source: str | Path | bytes, *, verify: bool = True) -> MaskSet:
    """Read a mask file, or its bytes.

    A file is mapped into memory. The whole header is checked, and the bits are checked against its
    digest, which reads them once: about a millisecond per MiB. Without ``verify``, a layer's bits
    are read when they are used, and :func:`raiw.verify` tells whether they match.

    Raises
    ------
    InvalidMasks
        It is not a mask file, or a damaged one.
    NotFound
        There is no such file.
    """
    if not isinstance(source, bytes):
        path = Path(source)
        if not path.is_file():
            raise NotFound(f"there is no mask file {str(source)!r}{_hint(str(source))}")
        with naming(path):
            return _checked(decode(map_file(path)), verify=verify)
    return _checked(decode(source), verify=verify)


def _hint(source: str) -> str:
    if re.fullmatch(SHA256, source):
        return "; raiw.Client().masks(digest) fetches it from a server"
    return "; a digest is sha256: and 64 digits of 0-9 and a-f" if is_digest(source) else ""


def _checked(content: Content, *, verify: bool) -> MaskSet:
    masks = MaskSet(content.masks, content.origin, claimed_digest=content.digest)
    if verify and masks.digest != content.digest:
        raise InvalidMasks(
            f"the mask file is damaged: its bits digest to {masks.digest}, not {content.digest}; "
            f"fetch or craft it again"
        )
    return masks
