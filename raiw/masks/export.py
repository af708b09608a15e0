"""Masks in forms that other programs can read."""

import io
import json
import math
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
from raiw.forms import FORMS
from raiw.graphs import Graph, row_blocks
from raiw.masks.mask import Mask
from raiw.masks.maskset import MaskSet
from raiw.names import find
from raiw.tensors import METADATA_KEY, write_header

MAX_LISTED_EDGES = 1_000_000
"""Most edges of the forms that write every edge as text."""

_BLOCK_BYTES = 1 << 22
_BLOCK_EDGES = 1 << 16
_GROUP_EDGES = 1 << 20
"""Most edges of a row group of Parquet."""
_STORED = {"BOOL": "?", "F32": "<f4"}

Data = bytes | memoryview


@dataclass(frozen=True, slots=True)
class FilePart:
    """Consecutive bytes of an export: a header, or some rows of a layer."""

    layer: str | None
    """The layer they belong to; None if they hold the file together, as a header does."""
    size: int
    """Bytes that ``read`` returns."""
    read: Callable[[], Data]


def export(masks: MaskSet, path: str | Path, form: str) -> None:
    """Write masks in another form; :data:`raiw.forms.FORMS` names them.

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
    """Return the parts of an export in their order, each of which takes little memory.

    The sizes of a form that is ``sized`` follow from the shapes; the others must be encoded to know
    theirs.

    Raises
    ------
    InvalidInput, TooLarge, MissingExtra
        As in :func:`export`.
    """
    writer: Callable[[MaskSet], Iterator[FilePart]] = globals()[find(form, FORMS, "form").writer]
    return writer(masks)


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
    return _npz(
        _Array(name, name, np.dtype(np.bool_), mask.shape, row_blocks(mask.graph))
        for name, mask in masks.items()
    )


def as_csr(masks: MaskSet) -> Iterator[FilePart]:
    """``<layer>.indptr``, ``.indices`` and ``.shape`` of each layer's CSR matrix, in one npz."""
    return _npz(array for mask in masks.values() for array in _csr(mask))


def _csr(mask: Mask) -> Iterator["_Array"]:
    ends = np.concatenate([[0], np.cumsum(mask.graph.out_degrees())])
    yield _Array.whole(mask.name, "indptr", ends)
    columns = (np.nonzero(block)[1].astype(np.int32) for block in row_blocks(mask.graph))
    name, dtype = f"{mask.name}.indices", np.dtype(np.int32)
    yield _Array(mask.name, name, dtype, (mask.graph.edges,), columns)
    yield _Array.whole(mask.name, "shape", np.array(mask.shape))


def as_parquet(masks: MaskSet) -> Iterator[FilePart]:
    """Edges in Parquet: ``layer``, ``output`` and ``input`` channel, no layers in one row group.

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
    sink = _Sink()
    with extras.load("pyarrow.parquet").ParquetWriter(sink, schema, compression="zstd") as file:
        yield sink.part(None)
        for mask in masks.values():
            for edges in _edge_blocks(mask, _GROUP_EDGES):
                outputs, inputs = edges.astype(np.int32).T
                places = np.zeros(len(edges), np.int32)
                layer = arrow.DictionaryArray.from_arrays(places, [mask.name])
                file.write_table(arrow.table([layer, outputs, inputs], schema=schema))
                yield sink.part(mask.name)
    yield sink.part(None)


def as_json(masks: MaskSet) -> Iterator[FilePart]:
    """Every edge as ``[output, input]``, channels counted over all groups."""
    _check_listable(masks)
    yield _part(None, f'{{"digest":"{masks.digest}","layers":[')
    for position, mask in enumerate(masks.values()):
        sides = {"outputs": mask.shape[0], "inputs": mask.shape[1] * mask.groups}
        layer = json.dumps({"name": mask.name, **sides}, separators=(",", ":"))
        if position:
            yield _part(None, ",")
        yield _part(mask.name, layer.removesuffix("}") + ',"edges":[')
        for block, edges in enumerate(_edge_blocks(mask)):
            listed = json.dumps(edges.tolist(), separators=(",", ":"))[1:-1]
            yield _part(mask.name, f",{listed}" if block else listed)
        yield _part(mask.name, "]}")
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
        yield _part(mask.name, "".join(_nodes(mask)))
        for edges in _edge_blocks(mask):
            lines = (
                f'<edge source="{mask.name}/in/{i}" target="{mask.name}/out/{o}"/>\n'
                for o, i in edges.tolist()
            )
            yield _part(mask.name, "".join(lines))
    yield _part(None, "</graph>\n</graphml>\n")


def _safetensors(masks: MaskSet, suffix: str, dtype: str, *, kernel: bool) -> Iterator[FilePart]:
    """Yield a safetensors file with each layer's mask in its weight's layout, in blocks of rows."""
    by_tensor = {f"{name}.{suffix}": mask for name, mask in masks.items()}
    header, tensors = write_header(
        (name, dtype, _weight_layout(mask, kernel=kernel)) for name, mask in by_tensor.items()
    )
    yield _part(None, header)
    for tensor in tensors:
        mask, stored = by_tensor[tensor.name], np.dtype(_STORED[dtype])
        size, rows = tensor.end - tensor.start, tensor.shape[0]
        # A transposed weight has inputs first, the bits have outputs: it is turned as a whole.
        at_once = rows if mask.layer.transposed else max(1, rows * _BLOCK_BYTES // size)
        for first in range(0, rows, at_once):
            shape = (min(at_once, rows - first), *tensor.shape[1:])
            write = partial(_broadcast, mask, first, shape, stored)
            yield FilePart(mask.name, math.prod(shape) * stored.itemsize, write)


def _broadcast(mask: Mask, first: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Data:
    if mask.layer.transposed:
        kept = mask.for_weight()
    else:
        bits = mask.graph.bits[first : first + shape[0]]
        kept = Graph((shape[0], mask.shape[1]), bits).to_bool()
        kept = kept.reshape(kept.shape + (1,) * (len(shape) - 2))
    return np.broadcast_to(kept, shape).astype(dtype).reshape(-1).view(np.uint8).data


def _weight_layout(mask: Mask, *, kernel: bool) -> tuple[int, ...]:
    shape = mask.layer.weight_shape
    return shape if kernel else (*shape[:2], *(1 for _ in shape[2:]))


@dataclass(frozen=True, slots=True)
class _Array:
    """An array of an archive, in blocks that follow each other."""

    layer: str
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    blocks: Iterable[npt.NDArray[Any]]

    @classmethod
    def whole(cls, layer: str, name: str, array: npt.NDArray[Any]) -> "_Array":
        return cls(layer, f"{layer}.{name}", array.dtype, array.shape, [array])


class _Sink(io.RawIOBase):
    """Takes what an encoder writes, and hands it out as parts."""

    def __init__(self) -> None:
        self._written = bytearray()
        self._before = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._before + len(self._written)

    def write(self, data: Any) -> int:
        self._written += data
        return memoryview(data).nbytes

    def part(self, layer: str | None) -> FilePart:
        """Return what was written since the last part."""
        data, self._written = bytes(self._written), bytearray()
        self._before += len(data)
        return _part(layer, data)


def _npz(arrays: Iterable[_Array]) -> Iterator[FilePart]:
    """Yield an archive of arrays; an entry's directory record is the file's."""
    # numpy.savez takes names as keywords, so a layer called "file" would break it.
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for array in arrays:
            entry = zipfile.ZipInfo(f"{array.name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(
                    file,
                    {
                        "descr": np.lib.format.dtype_to_descr(array.dtype),
                        "fortran_order": False,
                        "shape": array.shape,
                    },
                )
                for block in array.blocks:
                    file.write(np.ascontiguousarray(block).data)
                    yield sink.part(array.layer)
            yield sink.part(array.layer)
    yield sink.part(None)


def _part(layer: str | None, data: str | bytes) -> FilePart:
    encoded = data.encode() if isinstance(data, str) else data
    return FilePart(layer, len(encoded), lambda: encoded)


def _nodes(mask: Mask) -> Iterator[str]:
    for side, count in (("out", mask.shape[0]), ("in", mask.shape[1] * mask.groups)):
        data = f'<data key="layer">{mask.name}</data><data key="side">{side}</data>'
        for vertex in range(count):
            yield f'<node id="{mask.name}/{side}/{vertex}">{data}</node>\n'


def _edge_blocks(mask: Mask, most: int = _BLOCK_EDGES) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the ``(edges, 2)`` output and input channels of all edges, groups told apart."""
    rows = mask.shape[0] // mask.groups
    first = 0
    gathered, size = [], 0
    for block in row_blocks(mask.graph):
        outputs, inputs = np.nonzero(block)
        outputs += first
        first += len(block)
        gathered.append(np.stack([outputs, inputs + outputs // rows * mask.shape[1]], axis=1))
        size += len(outputs)
        if size >= most or first == mask.shape[0]:
            edges = np.concatenate(gathered)
            yield from (edges[start : start + most] for start in range(0, size, most))
            gathered, size = [], 0


def _check_listable(masks: MaskSet) -> None:
    if masks.edges > MAX_LISTED_EDGES:
        raise TooLarge(
            f"{masks.edges} edges; text forms list at most {MAX_LISTED_EDGES}: export to csr",
            limit=MAX_LISTED_EDGES,
        )
