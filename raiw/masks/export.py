"""Masks in forms that other programs can read."""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raiw import extras
from raiw.errors import TooLarge
from raiw.files import write_atomically
from raiw.masks.mask import Mask
from raiw.masks.maskset import MaskSet
from raiw.names import find
from raiw.tensors import METADATA_KEY, write_header

MAX_LISTED_EDGES = 1_000_000
"""Most edges of the forms that write every edge as text."""

_STORED = {"BOOL": "?", "F32": "<f4"}

Data = bytes | memoryview


@dataclass(frozen=True, slots=True)
class FilePart:
    """Consecutive bytes of an export."""

    layer: str | None
    """The layer they belong to; None if they hold the file together, as a header does."""
    size: int
    """Bytes that ``read`` returns."""
    read: Callable[[], Data]


def export(masks: MaskSet, path: str | Path, form: str) -> None:
    """Write masks in another form; ``FORMS`` names them.

    Raises
    ------
    InvalidInput
        There is no such form.
    TooLarge
        A text form would list more than a million edges.
    MissingExtra
        The form needs a package that is not installed.
    """
    write_atomically(path, (part.read() for part in parts(masks, form)))


def parts(masks: MaskSet, form: str) -> Iterator[FilePart]:
    """Return the parts of an export in their order.

    The parts of ``bool`` and ``torch-prune`` are made when they are read, and their sizes follow
    from the shapes; the other forms must be encoded to know theirs.

    Raises
    ------
    InvalidInput, TooLarge, MissingExtra
        As in :func:`export`.
    """
    return find(form, FORMS, "export form")(masks)


def as_bool(masks: MaskSet) -> Iterator[FilePart]:
    """Booleans in safetensors: ``weight *= load_file(path)["<layer>.weight"]`` prunes a layer.

    Kernel axes have size 1, so that the product broadcasts.
    """
    return _safetensors(masks, "weight", "BOOL", kernel=False)


def as_torch_prune(masks: MaskSet) -> Iterator[FilePart]:
    """Float ``<layer>.weight_mask`` of the weight's own shape, as in torch.nn.utils.prune."""
    return _safetensors(masks, "weight_mask", "F32", kernel=True)


def as_npz(masks: MaskSet) -> Iterator[FilePart]:
    """Boolean ``(out, in/groups)`` arrays by layer name, for ``numpy.load``."""
    return _npz((name, name, mask.numpy()) for name, mask in masks.items())


def as_csr(masks: MaskSet) -> Iterator[FilePart]:
    """``<layer>.indptr``, ``.indices`` and ``.shape`` of each layer's CSR matrix, in one npz."""
    return _npz(
        (name, f"{name}.{part}", array)
        for name, mask in masks.items()
        for part, array in _csr(mask)
    )


def _csr(mask: Mask) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    indptr, indices = mask.graph.adjacency()
    yield "indptr", indptr
    yield "indices", indices
    yield "shape", np.array(mask.shape)


def as_parquet(masks: MaskSet) -> Iterator[FilePart]:
    """Edges in Parquet: ``layer``, ``output`` and ``input`` channel, a row group for each layer.

    The metadata key ``raiw`` holds the content digest. Needs pyarrow.
    """
    arrow = extras.load("pyarrow")
    schema = arrow.schema(
        {
            "layer": arrow.dictionary(arrow.int32(), arrow.string()),
            "output": arrow.int32(),
            "input": arrow.int32(),
        },
        metadata={METADATA_KEY: masks.digest},
    )
    buffer = io.BytesIO()
    with extras.load("pyarrow.parquet").ParquetWriter(buffer, schema, compression="zstd") as file:
        yield _part(None, buffer.getvalue())
        for mask in masks.values():
            outputs, inputs = _edge_list(mask).astype(np.int32).T
            layer = arrow.DictionaryArray.from_arrays(np.zeros(mask.edges, np.int32), [mask.name])
            start = buffer.tell()
            file.write_table(arrow.table([layer, outputs, inputs], schema=schema))
            yield _part(mask.name, buffer.getbuffer()[start:].tobytes())
        start = buffer.tell()
    yield _part(None, buffer.getbuffer()[start:].tobytes())


def as_json(masks: MaskSet) -> Iterator[FilePart]:
    """Every edge as ``[output, input]``, channels counted over all groups."""
    _check_listable(masks)
    yield _part(None, f'{{"digest":"{masks.digest}","layers":[')
    for position, mask in enumerate(masks.values()):
        layer = {
            "name": mask.name,
            "outputs": mask.shape[0],
            "inputs": mask.shape[1] * mask.groups,
            "edges": _edge_list(mask).tolist(),
        }
        if position:
            yield _part(None, ",")
        yield _part(mask.name, json.dumps(layer, separators=(",", ":")))
    yield _part(None, "]}")


def as_graphml(masks: MaskSet) -> Iterator[FilePart]:
    """One GraphML graph over all layers, with nodes ``<layer>/in/<i>`` and ``<layer>/out/<j>``."""
    _check_listable(masks)
    yield _part(
        None,
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
        '<key id="layer" for="node" attr.name="layer" attr.type="string"/>\n'
        '<key id="side" for="node" attr.name="side" attr.type="string"/>\n'
        '<graph edgedefault="undirected">\n',
    )
    for mask in masks.values():
        yield _part(mask.name, "".join(_graphml_lines(mask)))
    yield _part(None, "</graph>\n</graphml>\n")


FORMS: dict[str, Callable[[MaskSet], Iterator[FilePart]]] = {
    "bool": as_bool,
    "torch-prune": as_torch_prune,
    "npz": as_npz,
    "csr": as_csr,
    "parquet": as_parquet,
    "json": as_json,
    "graphml": as_graphml,
}
"""Every form by the name users give it."""

TEXT_FORMS = frozenset({"json", "graphml"})
"""Those that people can read."""


def _safetensors(masks: MaskSet, suffix: str, dtype: str, *, kernel: bool) -> Iterator[FilePart]:
    """Yield a safetensors file with each layer's mask in its weight's layout, one at a time."""
    by_tensor = {f"{name}.{suffix}": mask for name, mask in masks.items()}
    header, tensors = write_header(
        (name, dtype, _weight_layout(mask, kernel=kernel)) for name, mask in by_tensor.items()
    )
    yield _part(None, header)
    for tensor in tensors:
        mask = by_tensor[tensor.name]
        write = partial(_broadcast, mask, tensor.shape, _STORED[dtype])
        yield FilePart(mask.name, tensor.end - tensor.start, write)


def _broadcast(mask: Mask, shape: tuple[int, ...], dtype: str) -> Data:
    kept = np.broadcast_to(mask.for_weight(), shape)
    return kept.astype(dtype).reshape(-1).view(np.uint8).data


def _weight_layout(mask: Mask, *, kernel: bool) -> tuple[int, ...]:
    shape = mask.layer.weight_shape
    return shape if kernel else (*shape[:2], *(1 for _ in shape[2:]))


def _npz(arrays: Iterable[tuple[str, str, npt.NDArray[Any]]]) -> Iterator[FilePart]:
    """Yield an archive of ``(layer, name, array)``; an entry's directory record is the file's."""
    # numpy.savez takes names as keywords, so a layer called "file" would break it.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for layer, name, array in arrays:
            start = buffer.tell()
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
            yield _part(layer, buffer.getbuffer()[start:].tobytes())
        start = buffer.tell()
    yield _part(None, buffer.getbuffer()[start:].tobytes())


def _part(layer: str | None, data: str | bytes) -> FilePart:
    encoded = data.encode() if isinstance(data, str) else data
    return FilePart(layer, len(encoded), lambda: encoded)


def _graphml_lines(mask: Mask) -> Iterator[str]:
    for side, count in (("out", mask.shape[0]), ("in", mask.shape[1] * mask.groups)):
        data = f'<data key="layer">{mask.name}</data><data key="side">{side}</data>'
        for vertex in range(count):
            yield f'<node id="{mask.name}/{side}/{vertex}">{data}</node>\n'
    for o, i in _edge_list(mask).tolist():
        yield f'<edge source="{mask.name}/in/{i}" target="{mask.name}/out/{o}"/>\n'


def _edge_list(mask: Mask) -> npt.NDArray[np.int64]:
    """Return the ``(edges, 2)`` output and input channels of every edge, groups told apart."""
    indptr, indices = mask.graph.adjacency()
    outputs = np.repeat(np.arange(mask.shape[0]), np.diff(indptr))
    group = outputs // (mask.shape[0] // mask.groups)
    return np.stack([outputs, indices + group * mask.shape[1]], axis=1)


def _check_listable(masks: MaskSet) -> None:
    if masks.edges > MAX_LISTED_EDGES:
        raise TooLarge(
            f"{masks.edges} edges; text forms list at most {MAX_LISTED_EDGES}: export to csr",
            limit=MAX_LISTED_EDGES,
        )
