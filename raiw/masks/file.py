"""The mask file ``raiw.masks@1``: one network's masks in a safetensors container.

For every layer there is one U8 tensor ``<layer>.bitmask`` of shape ``(out, ceil(in/8))``: the rows
of the layer's ``(out, in/groups)`` graph, packed little-endian, padding bits zero. The metadata has
one key, ``raiw``, with canonical JSON (:mod:`raiw.canonical`), because a container with several
keys has no fixed byte order:

``format``
    ``raiw.masks@1``.
``digest``
    The content digest, the identity of the masks; see :func:`content_digest`.
``spec``, ``algorithm``, ``revision``, ``seed``, ``importance``
    Canonical spec, the algorithm with its revision, seed, digest of the importance file or null.
``certificate``
    ``quick`` or ``tight``, the kind of the upper bounds; only where there are some.
``scored_by``
    How the scores were computed, as :func:`raiw.score` notes it in their file; else null.
``layers``
    In the spec's order: ``name``, ``requested`` edges, ``completed`` edges, ``kept_score``,
    ``upper_bound`` of the score any graph could keep, where a draw among equal scores decided most
    edges how many it ``tied``, and the exact ``facts``
    (:class:`raiw.statistics.LayerFacts`).
``checksum``
    sha256 of the canonical JSON of all the rest, so no bit of the metadata can change unseen.

The same masks give the same bytes on every machine: tensors stand in order of name, and nothing in
the file comes from floating-point linear algebra, a clock or a version.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from raiw.canonical import canonical_json, digest_of_chunks, digest_of_json
from raiw.errors import InvalidMasks, InvalidTensors, TooLarge
from raiw.graphs import Graph
from raiw.masks.mask import Mask
from raiw.specs.crafting import BoundKind
from raiw.specs.document import Digest
from raiw.specs.layers import Conv, Layer, Linear
from raiw.statistics import LayerFacts
from raiw.tensors import (
    MAX_HEADER_BYTES,
    METADATA_KEY,
    Header,
    Tensor,
    from_metadata,
    read_header,
    to_metadata,
    write_header,
)

FORMAT = "raiw.masks@1"

Count = Annotated[int, Field(ge=0, strict=True)]


class Origin(BaseModel):
    """The origin of masks."""

    model_config = ConfigDict(frozen=True)

    spec: dict[str, Any]
    """The canonical spec."""
    algorithm: str
    revision: Count
    seed: Count
    importance: Digest | None
    certificate: BoundKind | None = None
    """The kind of bound; None if there is none, or if an older raiw wrote the file, whose bounds
    are all tight. Such files have no such key."""
    scored_by: dict[str, Any] | None = None
    """Method, revision and options of the scores, if their file notes them."""


class _Layer(BaseModel):
    name: str
    requested: Count
    completed: Count
    kept_score: float | None
    upper_bound: float | None
    tied: Count = 0
    facts: LayerFacts


class _Certificate(BaseModel):
    digest: Digest
    layers: tuple[_Layer, ...]


_LAYERS = TypeAdapter(tuple[Layer, ...])


@dataclass(frozen=True, slots=True)
class Content:
    """What a mask file holds."""

    origin: Origin
    masks: tuple[Mask, ...]
    digest: str
    """The digest the file claims."""


def content_digest(masks: Iterable[Mask]) -> str:
    """Return the digest of names, shapes and bits: the identity of masks, in whatever container.

    It is the sha256 of the following for each layer in order of name: the canonical JSON of
    ``[name, out, in/groups]``, a line feed, the packed rows.
    """
    return digest_of_chunks(
        chunk
        for mask in sorted(masks, key=lambda mask: mask.name)
        for chunk in (f"{canonical_json([mask.name, *mask.shape])}\n".encode(), _bytes(mask))
    )


def describe_masks(origin: Origin, masks: Iterable[Mask], digest: str) -> dict[str, Any]:
    """Return the metadata document of a mask file."""
    uncertified = {"certificate"} if origin.certificate is None else set()
    document = {
        **origin.model_dump(mode="json", exclude=uncertified),
        "format": FORMAT,
        "digest": digest,
        "layers": [_record(mask) for mask in masks],
    }
    return document | {"checksum": digest_of_json(document)}


def _record(mask: Mask) -> dict[str, Any]:
    tied = {"tied": mask.tied} if mask.tied else {}
    return tied | {
        "name": mask.name,
        "requested": mask.requested,
        "completed": mask.completed,
        "kept_score": mask.kept_score,
        "upper_bound": mask.upper_bound,
        "facts": mask.facts.to_json(),
    }


def encode(document: dict[str, Any], masks: Mapping[str, Mask]) -> Iterator[bytes | memoryview]:
    """Yield the mask file: its header with the metadata document, then every layer's bytes.

    Raises
    ------
    TooLarge
        The names, rules and facts of the layers do not fit into a header.
    """
    by_tensor = {f"{name}.bitmask": mask for name, mask in masks.items()}
    header, tensors = write_header(
        ((name, "U8", mask.packed.shape) for name, mask in by_tensor.items()),
        to_metadata(document),
    )
    if len(header) > MAX_HEADER_BYTES:
        raise TooLarge(
            f"the mask file's header would have {len(header)} bytes; {MAX_HEADER_BYTES} are "
            f"allowed: shorten layer names and rules, or split the network",
            limit=MAX_HEADER_BYTES,
        )
    yield header
    for tensor in tensors:
        yield _bytes(by_tensor[tensor.name])


def decode(data: mmap | bytes) -> Content:
    """Read a mask file; the masks are views of ``data``, and their bits are not hashed here.

    Raises
    ------
    InvalidMasks
        The bytes are not a mask file, or are damaged.
    """
    try:
        header = read_header(data, len(data), max_metadata=MAX_HEADER_BYTES)
    except (InvalidTensors, TooLarge) as error:
        raise InvalidMasks(f"this is not a mask file: {error.message}") from None
    document = _read_metadata(header)
    try:
        origin = Origin.model_validate(document)
        certificate = _Certificate.model_validate(document)
        layers = _LAYERS.validate_python(origin.spec["layers"])
    except (ValidationError, KeyError) as error:
        raise InvalidMasks(f"the mask file's metadata cannot be read: {error}") from None
    _check_agreement(header, layers, certificate.layers)
    masks = tuple(
        Mask(
            layer=layer,
            graph=_graph(data, header.tensors[f"{layer.name}.bitmask"], layer),
            requested=record.requested,
            completed=record.completed,
            kept_score=record.kept_score,
            upper_bound=record.upper_bound,
            tied=record.tied,
            facts=record.facts,
        )
        for layer, record in zip(layers, certificate.layers, strict=True)
    )
    if canonical_json(document["layers"]) != canonical_json([_record(mask) for mask in masks]):
        raise InvalidMasks("the mask file's statistics are not written as the format has them")
    return Content(origin, masks, certificate.digest)


def _bytes(mask: Mask) -> memoryview:
    return np.ascontiguousarray(mask.packed).reshape(-1).data


def _read_metadata(header: Header) -> dict[str, Any]:
    """Return the metadata document, every bit of it checked."""
    if header.metadata.keys() != {METADATA_KEY}:
        raise InvalidMasks(
            f"a safetensors file, but not a mask file: its metadata must have the one key "
            f"{METADATA_KEY!r}"
        )
    try:
        document = from_metadata(header.metadata)
        canonical = to_metadata(document) == header.metadata
    except ValueError:
        document, canonical = {}, False
    if not canonical:
        raise InvalidMasks("the mask file is damaged: its metadata is not canonical JSON")
    if document.get("format") != FORMAT:
        raise InvalidMasks(
            f"the mask file has the format {str(document.get('format'))[:40]!r}; "
            f"this raiw reads {FORMAT!r}"
        )
    checksum = document.pop("checksum", None)
    if checksum != digest_of_json(document):
        raise InvalidMasks("the mask file is damaged: the checksum of its metadata is wrong")
    return document


def _check_agreement(
    header: Header, layers: Sequence[Linear | Conv], records: Sequence[_Layer]
) -> None:
    """Require that tensors, certificate and spec speak of the same layers and shapes."""
    wanted = {f"{layer.name}.bitmask": ("U8", _packed_shape(layer.graph_shape)) for layer in layers}
    found = {name: (tensor.dtype, tensor.shape) for name, tensor in header.tensors.items()}
    certified = [(record.name, record.facts.shape, record.facts.groups) for record in records]
    if found != wanted or certified != [
        (layer.name, layer.graph_shape, layer.groups) for layer in layers
    ]:
        raise InvalidMasks("the mask file's tensors or statistics are not those of its layers")


def _packed_shape(shape: tuple[int, int]) -> tuple[int, int]:
    return shape[0], -(-shape[1] // 8)


def _graph(data: mmap | bytes, tensor: Tensor, layer: Linear | Conv) -> Graph:
    bits = np.frombuffer(data, np.uint8, tensor.end - tensor.start, tensor.start)
    bits = bits.reshape(tensor.shape)
    used = layer.graph_shape[1] % 8
    if used and (bits[:, -1] >> used).any():
        raise InvalidMasks(
            f"the mask file is damaged: layer {layer.name!r} has bits past its last input"
        )
    return Graph(layer.graph_shape, bits)
