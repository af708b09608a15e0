"""The registry of what can be reproduced."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raiw import extras
from raiw.errors import InvalidInput, NotFound
from raiw.names import find, listed
from raiw.reproduction.rows import Row

if TYPE_CHECKING:
    from raiw.reproduction.picture import Picture
    from raiw.reproduction.results import TrainingResult


@dataclass(frozen=True, slots=True)
class Item:
    """A table, figure or statement of a paper."""

    name: str
    summary: str
    rows: str
    """``module:function`` below this package that returns the numbers."""
    pictures: str = ""
    """The same for the pictures; nothing where there are none."""
    results: bool = False
    """Whether pictures show results of training that are handed over."""
    trains: bool = False
    """Whether it trains a network on digits, which takes a minute."""

    def run(self) -> list[Row]:
        """Compute its numbers.

        Raises
        ------
        MissingExtra
            It trains a network, and torch is not installed; :meth:`draw` likewise.
        """
        rows: list[Row] = _loaded(self.rows)()
        return rows

    def draw(self, results: "Sequence[TrainingResult]" = ()) -> "list[Picture]":
        """Draw its pictures, none if it has none."""
        if not self.pictures:
            return []
        given = (results,) if self.results else ()
        pictures: list[Picture] = _loaded(self.pictures)(*given)
        return pictures


def _loaded(place: str) -> Any:
    module, _, function = place.partition(":")
    return getattr(extras.load(f"raiw.reproduction.{module}"), function)


ITEMS: dict[str, Item] = {
    item.name: item
    for item in (
        Item("table1", "RAIW, Table 1: compression of VGG-16", "counts:table1"),
        Item("table2", "RAIW, Table 2: weights on ImageNet", "counts:table2"),
        Item("table3", "RAIW, Table 3: stability", "stability:table3"),
        Item("table4", "RAIW, Table 4: VGG-16 by layer", "counts:table4"),
        Item("params", "RAIW, weights and errors of the text", "tradeoffs:params"),
        Item(
            "figure1",
            "RAIW, Figure 1: random and regular graphs",
            "toys:figure1",
            "toys:draw_figure1",
        ),
        Item(
            "figure2",
            "RAIW, Figure 2: largest and smallest entropy",
            "extremes:figure2",
            "extremes:draw_figure2",
        ),
        Item(
            "figure3",
            "RAIW, Figure 3: Algorithm 3 step by step",
            "toys:figure3",
            "toys:draw_figure3",
        ),
        Item(
            "figure4a",
            "RAIW, Figure 4a: error and weights of ResNets",
            "tradeoffs:figure4a",
            "tradeoffs:draw_figure4a",
            results=True,
        ),
        Item(
            "figure4b",
            "RAIW, Figure 4b: error and weights of DenseNets",
            "tradeoffs:figure4b",
            "tradeoffs:draw_figure4b",
            results=True,
        ),
        Item(
            "figure4c",
            "RAIW, Figure 4c: entropy by edges",
            "curves:figure4c",
            "curves:draw_figure4c",
        ),
        Item(
            "proposition1",
            "RAIW, Proposition 1: where it fails",
            "proposition:proposition1",
            "proposition:draw_proposition1",
        ),
        Item(
            "afie-shape",
            "AFIE: scores of VGG-16, and of its shapes alone",
            "afie:afie_shape",
            "afie:draw_afie_shape",
        ),
        Item(
            "afie-epochs",
            "AFIE: scores by epoch, of a network trained on digits",
            "epochs:afie_epochs",
            "epochs:draw_afie_epochs",
            trains=True,
        ),
        Item("entropic", "Entropic sparsification: sizes and sparsities", "entropic:entropic"),
        Item(
            "entropic-speed",
            "Entropic sparsification: a VGG-16 of its size, measured on this machine",
            "narrow:narrow_vgg",
        ),
        Item(
            "entropic-sparsity",
            "Entropic sparsification: accuracy by sparsity, of a network trained on digits",
            "sparsity:entropic_sparsity",
            "sparsity:draw_entropic_sparsity",
            trains=True,
        ),
    )
}

PICTURES = [item.name for item in ITEMS.values() if item.pictures]


def item(name: str) -> Item:
    """Return an item by name.

    Raises
    ------
    NotFound
        There is no such item; the message lists them.
    """
    return find(name, ITEMS, "result", NotFound)


def pictured(name: str) -> Item:
    """Return an item that has pictures.

    Raises
    ------
    NotFound
        There is no such item.
    InvalidInput
        It has none.
    """
    found = item(name)
    if not found.pictures:
        raise InvalidInput(f"{name!r} is a table and has no picture; {listed(PICTURES, 20)} have")
    return found
