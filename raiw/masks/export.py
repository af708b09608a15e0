"""Masks in the forms that other programs read."""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raiw.errors import InvalidInput, TooLarge
from raiw.files import write_atomically
from raiw.masks.mask import Mask
from raiw.masks.maskset import MaskSet
from raiw.specs.document import nearest
from raiw.tensors import write_header

MAX_LISTED_EDGES = 1_000_000
"""Most edges of the forms that write every edge as text."""

_STORED = {"BOOL": "?", "F32": "<f4"}

Chunks = Iterable[bytes | memoryview]


def export(masks: MaskSet, path: str | Path, form: str) -> None:
    """Write masks in another form; ``FORMS`` names them.

    Raises
    ------
    InvalidInput
        There is no such form.
    TooLarge
        A text form would list more than a million edges.
    """
    if form not in FORMS:
        raise InvalidInput(
            f"no export form {form!r}{nearest(form, list(FORMS))}; there are {', '.join(FORMS)}"
        )
    write_atomically(path, FORMS[form](masks))


def as_bool(masks: MaskSet) -> Chunks:
    """Booleans in safetensors: ``weight *= load_file(path)["<layer>.weight"]`` prunes a layer.

    Kernel axes have size 1, so that the product broadcasts.
    """
    return _safetensors(masks, "weight", "BOOL", kernel=False)


def as_torch_prune(masks: MaskSet) -> Chunks:
    """Float ``<layer>.weight_mask`` of the weight's own shape, as torch.nn.utils.prune has it."""
    return _safetensors(masks, "weight_mask", "F32", kernel=True)


def as_npz(masks: MaskSet) -> Chunks:
    """Boolean ``(out, in/groups)`` arrays by layer name, for ``numpy.load``."""
    return _npz((name, mask.numpy()) for name, mask in masks.items())


def as_csr(masks: MaskSet) -> Chunks:
    """``<layer>.indptr``, ``.indices`` and ``.shape`` of each layer's CSR matrix, in one npz."""
    return _npz(
        (f"{name}.{part}", array) for name, mask in masks.items() for part, array in _csr(mask)
    )


def _csr(mask: Mask) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    indptr, indices = mask.graph.adjacency()
    yield "indptr", indptr
    yield "indices", indices
    yield "shape", np.array(mask.shape)


def as_json(masks: MaskSet) -> Chunks:
    """Every edge as ``[output, input]``, channels counted over all groups."""
    _check_listable(masks)
    document = {
        "digest": masks.digest,
        "layers": [
            {
                "name": mask.name,
                "outputs": mask.shape[0],
                "inputs": mask.shape[1] * mask.groups,
                "edges": _edge_list(mask).tolist(),
            }
            for mask in masks.values()
        ],
    }
    yield json.dumps(document, separators=(",", ":")).encode()


def as_graphml(masks: MaskSet) -> Chunks:
    """One GraphML graph over all layers, with nodes ``<layer>/in/<i>`` and ``<layer>/out/<j>``."""
    _check_listable(masks)
    yield (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
        b'<key id="layer" for="node" attr.name="layer" attr.type="string"/>\n'
        b'<key id="side" for="node" attr.name="side" attr.type="string"/>\n'
        b'<graph edgedefault="undirected">\n'
    )
    for mask in masks.values():
        sides = (("out", mask.shape[0]), ("in", mask.shape[1] * mask.groups))
        for side, count in sides:
            data = f'<data key="layer">{mask.name}</data><data key="side">{side}</data>'
            yield "".join(
                f'<node id="{mask.name}/{side}/{i}">{data}</node>\n' for i in range(count)
            ).encode()
        yield "".join(
            f'<edge source="{mask.name}/in/{i}" target="{mask.name}/out/{o}"/>\n'
            for o, i in _edge_list(mask).tolist()
        ).encode()
    yield b"</graph>\n</graphml>\n"


FORMS: dict[str, Callable[[MaskSet], Chunks]] = {
    "bool": as_bool,
    "torch-prune": as_torch_prune,
    "npz": as_npz,
    "csr": as_csr,
    "json": as_json,
    "graphml": as_graphml,
}
"""Every form by the name users give it."""


def _safetensors(masks: MaskSet, suffix: str, dtype: str, *, kernel: bool) -> Chunks:
    """Yield a safetensors file with each layer's mask in its weight's layout, one at a time."""
    by_tensor = {f"{name}.{suffix}": mask for name, mask in masks.items()}
    header, tensors = write_header(
        (name, dtype, _weight_layout(mask, kernel=kernel)) for name, mask in by_tensor.items()
    )
    yield header
    for tensor in tensors:
        kept = np.broadcast_to(by_tensor[tensor.name].for_weight(), tensor.shape)
        yield kept.astype(_STORED[dtype]).reshape(-1).view(np.uint8).data


def _weight_layout(mask: Mask, *, kernel: bool) -> tuple[int, ...]:
    shape = mask.layer.weight_shape
    return shape if kernel else (*shape[:2], *(1 for _ in shape[2:]))


def _npz(arrays: Iterable[tuple[str, npt.NDArray[Any]]]) -> Chunks:
    # numpy.savez takes names as keywords, so a layer called "file" would break it.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays:
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    yield buffer.getbuffer()


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
