"""The registry of what can be reproduced."""

from dataclasses import dataclass
from importlib import import_module

from raiw.errors import NotFound
from raiw.names import find
from raiw.reproduction.rows import Row


@dataclass(frozen=True, slots=True)
class Item:
    """A table, figure or statement of a paper."""

    name: str
    summary: str
    module: str
    function: str

    def run(self) -> list[Row]:
        """Compute its numbers."""
        rows: list[Row] = getattr(import_module(self.module), self.function)()
        return rows


ITEMS: dict[str, Item] = {
    item.name: item
    for item in (
        Item(
            "table1", "RAIW, Table 1: compression of VGG-16", "raiw.reproduction.counts", "table1"
        ),
        Item("table2", "RAIW, Table 2: weights on ImageNet", "raiw.reproduction.counts", "table2"),
        Item("table3", "RAIW, Table 3: stability", "raiw.reproduction.stability", "table3"),
        Item("table4", "RAIW, Table 4: VGG-16 by layer", "raiw.reproduction.counts", "table4"),
        Item(
            "params", "RAIW, weights and errors of the text", "raiw.reproduction.counts", "params"
        ),
        Item(
            "figure2",
            "RAIW, Figure 2: largest and smallest entropy",
            "raiw.reproduction.entropies",
            "figure2",
        ),
        Item(
            "figure4c",
            "RAIW, Figure 4c: entropy by edges",
            "raiw.reproduction.entropies",
            "figure4c",
        ),
        Item(
            "afie-shape",
            "AFIE: scores of VGG-16, and of its shapes alone",
            "raiw.reproduction.afie",
            "afie_shape",
        ),
        Item(
            "entropic",
            "Entropic sparsification: sizes and sparsities",
            "raiw.reproduction.entropic",
            "entropic",
        ),
        Item(
            "entropic-speed",
            "Entropic sparsification: a VGG-16 of its size, measured on this machine",
            "raiw.reproduction.narrow",
            "narrow_vgg",
        ),
    )
}


def item(name: str) -> Item:
    """Return an item by name.

    Raises
    ------
    NotFound
        There is no such item; the message lists them.
    """
    return find(name, ITEMS, "result", NotFound)
