"""Importance scores of a spec, one layer at a time, from a safetensors file or from arrays."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np
import numpy.typing as npt

from raiw import kernels
from raiw.canonical import digest_of_chunks, digest_of_file
from raiw.errors import Infeasible, InvalidImportance, NotFound
from raiw.files import map_file, naming, write_atomically
from raiw.kernels.cells import Scores, as_native, cells
from raiw.layouts import by_edge, by_group
from raiw.scores.fit import check_header, dense_tensors, parts_of
from raiw.specs.crafting import ImportanceReading
from raiw.specs.layers import Conv, Linear
from raiw.specs.planned import PlannedLayer
from raiw.specs.spec import Spec
from raiw.tensors import Header, Tensor, from_metadata, read_header, write_header

STORED = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
"""How numpy reads the types that scores may have."""
_CODES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"}


class Importance:
    """The importance scores of one spec.

    Made by :func:`open_importance`, which has checked names, types and shapes; values are read
    and checked a layer at a time by :meth:`scores`.
    """

    def __init__(self, source: "Source", spec: Spec) -> None:
        self.source = source
        self._tensors = check_header(source.header, spec)
        self._reading = spec.importance or ImportanceReading()
        self._parts = parts_of(spec)
        self._dense = dense_tensors(source.everything, spec)
        self._prints: dict[str, int] = {}
        self._magnitude = self._reading.method == "magnitude"

    @property
    def digest(self) -> str:
        """Digest of the file, or of the file that :func:`write_scores` makes of the arrays.

        Raises
        ------
        InvalidImportance
            An array was changed after :meth:`scores` read it.
        """
        digest = self.source.digest
        for name, known in self._prints.items():
            if self.source.keeps and _survey(self._values(name))[1] != known:
                raise InvalidImportance(
                    f"layer {name!r}: its scores have changed since the masks were crafted, which "
                    f"record where they came from when they are saved or first asked: craft again, "
                    f"or give craft a copy",
                    layer=name,
                )
        return digest

    @property
    def waits(self) -> bool:
        """Whether the digest can wait until it is asked for: only for arrays, which rarely change.

        A file may be gone by then, and torch tensors may be trained further.
        """
        return self.source.keeps

    @property
    def key(self) -> dict[str, Any]:
        """What decides the scores: the file, and how it is read."""
        return {"file": self.digest, "reading": self._reading.keyed()}

    @property
    def provenance(self) -> dict[str, Any] | None:
        """How the scores were computed, as :func:`raiw.score` notes it; None if unknown."""
        return self.source.provenance

    def scores(self, planned: PlannedLayer) -> Scores | None:
        """Return the ``(out, in/groups)`` scores of a layer; None for one that keeps every edge.

        A tensor of the graph's shape is used as it is. One of the weight's own shape is reduced
        over the kernel, in float64, tap after tap: the score of an edge is the sum of the
        magnitudes of its taps, and -inf where one of them is. With method ``magnitude`` the
        tensor holds weights, and the sum of their magnitudes is taken in every case. Of a linear
        layer that stores its inputs first a square tensor is a weight with that method only.

        Raises
        ------
        InvalidImportance
            A score is NaN or +inf, or a weight is not finite; the message gives its position.
        Infeasible
            The layer keeps every edge, and one is scored -inf.
        """
        if planned.dense:
            self._require_no_forbidden(planned)
            return None
        with naming(self.source.name) if self.source.name else nullcontext():
            return self._scores(planned)

    def _scores(self, planned: PlannedLayer) -> Scores:
        tensor, values = self._tensors[planned.name], self._values(planned.name)
        self._prints[planned.name] = _check_values(
            values, planned.name, tensor.name, weights=self._magnitude
        )
        if self._inputs_first(values.shape, planned.layer):
            values = values.T
        if values.shape != planned.shape:
            values = _sum_taps(values, planned.layer)
            if np.isposinf(values.max()):
                raise InvalidImportance(
                    f"layer {planned.name!r}: the magnitudes of tensor {tensor.name!r} sum to "
                    f"infinity over the kernel: scale the tensor down",
                    layer=planned.name,
                )
        elif self._magnitude:
            values = np.abs(values)
        return np.require(values, requirements=("C", "A"))

    def _values(self, name: str) -> Scores:
        """Return a layer's values, as they lie in its tensor or in that of the whole."""
        tensor, part = self._tensors[name], self._parts.get(name)
        values = self.source.read(tensor)
        if part is None or tensor.name not in {part.whole, f"{part.whole}.weight"}:
            return values
        return values[part.where]

    def _inputs_first(self, shape: tuple[int, ...], layer: Linear | Conv) -> bool:
        """Whether values of a linear layer have inputs before outputs, as the layer's weight."""
        if not layer.transposed or shape != layer.weight_shape:
            return False
        square = layer.weight_shape == layer.graph_shape
        return isinstance(layer, Linear) and (self._magnitude or not square)

    def _require_no_forbidden(self, planned: PlannedLayer) -> None:
        """Require that no edge of a layer that keeps every edge is scored -inf."""
        tensor = self._dense.get(planned.name)
        if tensor is None or self._magnitude:
            return
        forbidden = int(np.count_nonzero(np.isneginf(self.source.read(tensor))))
        if forbidden:
            raise Infeasible(
                f"layer {planned.name!r}: its target is every edge, but {forbidden} values of "
                f"tensor {tensor.name!r} are -inf, which means never: lower the target, or give "
                f"those edges another score",
                layer=planned.name,
                missing=forbidden,
            )

    def taps(self, planned: PlannedLayer) -> Scores:
        """Return the ``(out, in/groups, taps)`` weights of a layer.

        Raises
        ------
        InvalidImportance
            The tensor has another shape than the weight, or holds a value that is not finite.
        """
        tensor, layer = self._tensors[planned.name], planned.layer
        values = self._values(planned.name)
        if values.shape != layer.weight_shape:
            raise InvalidImportance(
                f"layer {planned.name!r}: tensor {tensor.name!r} has the shape {values.shape}; "
                f"weights have the shape {layer.weight_shape}",
                layer=planned.name,
            )
        _check_values(values, planned.name, tensor.name, weights=True)
        return by_edge(values, layer.groups, inputs_first=layer.transposed)


class Source(Protocol):
    """Where tensors come from."""

    name: str
    """What messages call it; empty for arrays."""
    keeps: bool
    """Whether the digest can wait, because the tensors most likely stay unchanged."""

    @property
    def header(self) -> Header:
        """Names, types and shapes of the tensors that the spec needs."""

    @property
    def everything(self) -> Header:
        """Names, types and shapes of all tensors."""

    @property
    def digest(self) -> str:
        """Digest of the source as a file."""

    @property
    def provenance(self) -> dict[str, Any] | None:
        """How the scores were computed, if that was noted."""

    def read(self, tensor: Tensor) -> Scores:
        """Return a tensor in its own shape and type."""


class ScoreFile:
    """A safetensors file, mapped into memory; only the layers that are read are touched."""

    keeps = False

    def __init__(self, path: Path, digest: str | None = None) -> None:
        if not path.is_file():
            raise NotFound(f"no importance file {str(path)!r}")
        self._path = path
        self._digest = digest
        # Who knows the digest has the file among others of its own, whose path says nothing.
        self.name = digest or str(path)
        self._data = map_file(path)
        with naming(self.name):
            self.header = self.everything = read_header(self._data, len(self._data))

    @cached_property
    def digest(self) -> str:
        """Digest of the file's bytes."""
        return self._digest or digest_of_file(self._path)

    @cached_property
    def provenance(self) -> dict[str, Any] | None:
        """The JSON object under the metadata key ``raiw``, if there is one."""
        try:
            return from_metadata(self.header.metadata)
        except ValueError:
            return None

    def read(self, tensor: Tensor) -> Scores:
        """Return a tensor without a copy: its values are read from the file when they are used."""
        stored = np.dtype(STORED[tensor.dtype])
        count = (tensor.end - tensor.start) // stored.itemsize
        values = np.frombuffer(self._data, stored, count, tensor.start).reshape(tensor.shape)
        return values.view(ml_dtypes.bfloat16) if tensor.dtype == "BF16" else values


class ScoreArrays:
    """Arrays by name; only those that the spec needs count."""

    name = ""

    def __init__(self, arrays: Mapping[str, Any], spec: Spec) -> None:
        self.everything = Header({n: _describe(n, array) for n, array in arrays.items()}, 0)
        used = check_header(self.everything, spec)
        self._arrays = arrays
        self.provenance: dict[str, Any] | None = getattr(arrays, "provenance", None)
        self.keeps = not any(hasattr(arrays[tensor.name], "detach") for tensor in used.values())
        self._start, tensors = write_header({(t.name, t.dtype, t.shape) for t in used.values()})
        self.header = Header({tensor.name: tensor for tensor in tensors}, 0)

    @cached_property
    def digest(self) -> str:
        """Digest of the file that :meth:`chunks` make up."""
        return digest_of_chunks(self.chunks())

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the one safetensors file of these tensors: no metadata, types kept."""
        yield self._start
        for tensor in self.header.tensors.values():
            array = np.ascontiguousarray(_as_numpy(self._arrays[tensor.name]))
            yield array.reshape(-1).view(np.uint8).data

    def read(self, tensor: Tensor) -> Scores:
        """Return an array."""
        return _as_numpy(self._arrays[tensor.name])


def open_importance(
    source: "str | Path | Mapping[str, Any] | Importance", spec: Spec, *, digest: str | None = None
) -> Importance:
    """Open importance scores for a spec and check their names, types and shapes.

    Parameters
    ----------
    source
        A safetensors file, or arrays by name: of numpy, torch or anything that numpy can read.
    spec
        What the scores are for; ``spec.importance`` says how they are read.
    digest
        Digest of the file, if already known; otherwise it is computed when asked for.

    Raises
    ------
    InvalidTensors
        The file is malformed.
    InvalidImportance
        A layer has no scores, or scores of the wrong shape or type.
    NotFound
        There is no such file.
    """
    if isinstance(source, Importance):
        return Importance(source.source, spec)
    if isinstance(source, Mapping):
        return Importance(ScoreArrays(source, spec), spec)
    file = ScoreFile(Path(source), digest)
    with naming(file.name):
        return Importance(file, spec)


def write_scores(scores: Mapping[str, Any], spec: Spec, path: str | Path) -> str:
    """Write the arrays a spec needs as one safetensors file and return its digest.

    The bytes depend on the arrays alone, so a job that uploads the file has the same content key
    as a local run with the arrays.
    """
    arrays = ScoreArrays(scores, spec)
    write_atomically(path, arrays.chunks())
    return arrays.digest


def _describe(name: str, array: Any) -> Tensor:
    dtype, shape = getattr(array, "dtype", None), getattr(array, "shape", None)
    if dtype is None or shape is None:
        raise InvalidImportance(
            f"importance scores {name!r} are a {type(array).__name__}: give an array"
        )
    kind = str(dtype).removeprefix("torch.")
    return Tensor(name, _CODES.get(kind, kind), tuple(int(side) for side in shape), 0, 0)


def _as_numpy(array: Any) -> npt.NDArray[Any]:
    """Return a little-endian numpy array of a numpy or torch one; bfloat16 as in ml_dtypes."""
    if not hasattr(array, "detach"):
        plain = np.asarray(array)
        return plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    array = array.detach().cpu()
    if "bfloat16" not in str(array.dtype):
        return np.asarray(array.numpy())
    import torch

    return np.asarray(array.contiguous().view(torch.uint16).numpy().view(ml_dtypes.bfloat16))


def _survey(values: Scores, *, weights: bool = False) -> tuple[int, int]:
    """Return the place of the first value that is not a score, and a fingerprint of all bytes."""
    return kernels.survey(cells(as_native(values).reshape(len(values), -1)), weights)


def _check_values(values: Scores, layer: str, tensor: str, *, weights: bool) -> int:
    """Require scores; return the fingerprint of their bytes."""
    bad, bytes_print = _survey(values, weights=weights)
    if bad < 0:
        return bytes_print
    position = tuple(int(i) for i in np.unravel_index(bad, values.shape))
    allowed = (
        "weights must be finite" if weights else "scores must be numbers; -inf forbids an edge"
    )
    raise InvalidImportance(
        f"layer {layer!r}: importance tensor {tensor!r} holds {values[position]} at "
        f"{list(position)}; {allowed}",
        layer=layer,
        position=position,
    )


def _sum_taps(values: Scores, layer: Linear | Conv) -> Scores:
    """Reduce a weight-shaped tensor to ``(out, in/groups)`` by sum of magnitudes over the taps.

    One tap is added after the other, which fixes the rounding on every machine.
    """
    taps = np.moveaxis(by_group(values, layer.groups, inputs_first=layer.transposed), -1, 0)
    total = np.zeros(taps.shape[1:], np.float64)
    never = np.zeros(total.shape, np.bool_)
    forbidding = np.isneginf(values.min())
    with np.errstate(over="ignore"):
        for tap in taps:
            total += np.abs(tap)
            if forbidding:
                never |= np.isneginf(tap)
    total[never] = -np.inf
    return total.reshape(layer.graph_shape)
