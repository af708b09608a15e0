"""The graphs of stored layers, read by themselves and kept for a while: a page asks many times."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raiw.errors import NotFound
from raiw.graphs import Graph
from raiw.names import nearest
from service.jobs.services import Services
from service.jobs.stored import StoredFile, open_masks
from service.store.tables import MasksRow

_KEPT_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer of stored masks."""

    masks: MasksRow
    record: dict[str, Any]
    """What the mask file says of it."""
    graph: Graph
    statistics: dict[str, Any] | None
    """Its measured entropies and expansion; None while nobody has measured them."""

    @property
    def facts(self) -> dict[str, Any]:
        """Its exact facts."""
        facts: dict[str, Any] = self.record["facts"]
        return facts

    @property
    def groups(self) -> int:
        """Its groups."""
        return int(self.facts["groups"])


class LayerGraphs:
    """The graphs that were read last, up to a number of bytes."""

    def __init__(self, most: int = _KEPT_BYTES) -> None:
        self._most = most
        self._held = 0
        self._graphs: OrderedDict[tuple[str, str], Graph] = OrderedDict()
        self._lock = threading.Lock()

    def layer(self, services: Services, digest: str, name: str) -> StoredLayer:
        """Return a layer with its graph.

        Raises
        ------
        NotFound
            No such masks are stored, or they have no such layer, or they are damaged.
        """
        file = open_masks(services, digest, described=True)
        records = {record["name"]: record for record in file.row.document["layers"]}
        if name not in records:
            raise NotFound(f"the masks {digest} have no layer {name!r}{nearest(name, [*records])}")
        measured = (file.row.statistics or {}).get("layers", {})
        return StoredLayer(file.row, records[name], self._graph(file, name), measured.get(name))

    def _graph(self, file: StoredFile, name: str) -> Graph:
        key = file.row.file_sha256, name
        with self._lock:
            if (known := self._graphs.get(key)) is not None:
                self._graphs.move_to_end(key)
                return known
        file.verify()
        graph = next(read_graphs(file, [name]))
        with self._lock:
            if key not in self._graphs and graph.bits.nbytes <= self._most:
                self._graphs[key] = graph
                self._held += graph.bits.nbytes
            while self._held > self._most:
                self._held -= self._graphs.popitem(last=False)[1].bits.nbytes
        return graph


def read_graphs(file: StoredFile, names: list[str]) -> Iterator[Graph]:
    """Yield the graphs of some layers of a file that was verified, one after the other."""
    tensors = file.header().tensors
    shapes: Mapping[str, Any] = {
        record["name"]: record["facts"]["shape"] for record in file.row.document["layers"]
    }
    for name in names:
        tensor = tensors[f"{name}.bitmask"]
        bits = np.frombuffer(b"".join(file.read(tensor.start, tensor.end)), np.uint8)
        out, n_in = shapes[name]
        yield Graph((out, n_in), bits.reshape(tensor.shape))
