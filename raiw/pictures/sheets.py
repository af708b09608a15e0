"""Sheets: everything about one layer, and every layer of a network."""

from collections.abc import Sequence
from dataclasses import dataclass

from raiw.graphs import Graph
from raiw.pictures.degrees import degree_histogram
from raiw.pictures.drawing import Box, Drawing, Moved, Shape, Words, headed, padded, shortened
from raiw.pictures.gaps import entropy_gap, share_of_random
from raiw.pictures.maps import mask_map, thumbnail
from raiw.pictures.panels import panels
from raiw.pictures.spectra import affordable, spectrum
from raiw.statistics import DegreeRange, LayerFacts, LayerStatistics

_WIDTH, _HALF, _MARGIN = 720, 350, 20
_SQUARE = 0.4
"""Outputs over inputs from which two maps stand side by side."""
_COLUMNS, _CELL_WIDTH, _CELL_HEIGHT, _THUMBNAIL = 3, 240, 112, 66
_SMALL = 11
_NO_GAP = 1e-9
"""Nats, and less is rounding."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Drawn:
    """A layer to draw."""

    name: str
    graph: Graph
    """``(out, in/groups)``."""
    facts: LayerFacts
    """:class:`raiw.statistics.LayerStatistics` where the entropy shall be drawn too."""


def layer_sheet(layer: Drawn) -> Drawing:
    """Draw a layer's maps, degrees, spectrum if it takes less than a second, and entropy gap."""
    graph, facts = layer.graph, layer.facts
    groups = facts.groups
    beside = graph.shape[0] >= _SQUARE * graph.shape[1]
    width = _HALF if beside else _WIDTH
    maps = [
        headed(mask_map(graph, groups=groups, name=layer.name, width=width), "Edges"),
        headed(
            mask_map(graph, groups=groups, name=layer.name, mode="deviation", width=width),
            "Deviation from a random mask",
        ),
    ]
    charts = [
        headed(degree_histogram(graph, "outputs", groups=groups), "Degrees of outputs"),
        headed(degree_histogram(graph, "inputs", groups=groups), "Degrees of inputs"),
    ]
    if affordable(graph.shape, groups):
        charts.append(headed(spectrum(graph, groups=groups), "Singular values"))
    if isinstance(facts, LayerStatistics):
        charts.append(headed(_gap(facts), "Entropy"))
    rows = [maps] if beside else [[each] for each in maps]
    rows += [charts[place : place + 2] for place in range(0, len(charts), 2)]
    sheet = panels(rows, title=layer.name, width=_WIDTH)
    return padded(headed(sheet, layer.name, _note(facts)), _MARGIN)


def network_sheet(layers: Sequence[Drawn], heading: str, note: str = "") -> Drawing:
    """Draw every layer small: its map, shape, edges, degrees, and entropy gap where known."""
    shapes: list[Shape] = [
        Moved(
            x=place % _COLUMNS * _CELL_WIDTH,
            y=place // _COLUMNS * _CELL_HEIGHT,
            drawing=_cell(layer),
        )
        for place, layer in enumerate(layers)
    ]
    drawing = Drawing(
        width=_COLUMNS * _CELL_WIDTH,
        height=-(-len(layers) // _COLUMNS) * _CELL_HEIGHT,
        title=heading,
        description=" ".join(f"{layer.name}: {_note(layer.facts)}" for layer in layers),
        shapes=tuple(shapes),
    )
    return padded(headed(drawing, heading, note), _MARGIN)


def _cell(layer: Drawn) -> Drawing:
    facts = layer.facts
    room = _CELL_WIDTH - 12
    lines = [
        _shape(facts),
        f"{facts.edges:,} edges, {100 * facts.density:.3g} %",
        f"degrees {_span(facts.out_degree)} out, {_span(facts.in_degree)} in",
        *_gap_words(facts),
    ]
    left = _THUMBNAIL + 8
    shapes: list[Shape] = [
        Words(
            x=0,
            y=12,
            text=shortened(layer.name, room / 1.15),
            colour="ink",
            bold=True,
            says=layer.name,
        ),
        Moved(x=0, y=20, drawing=thumbnail(layer.graph, name=layer.name, size=_THUMBNAIL)),
        *(
            Words(x=left, y=31 + 15 * place, text=line, size=_SMALL)
            for place, line in enumerate(lines)
        ),
        Box(x=left, y=83, width=room - left, height=4, colour="grid"),
        Box(x=left, y=83, width=(room - left) * facts.density, height=4, colour="mask"),
    ]
    return Drawing(
        width=room,
        height=_CELL_HEIGHT,
        title=layer.name,
        description=_note(facts),
        shapes=tuple(shapes),
    )


def _gap(facts: LayerStatistics) -> Drawing:
    return entropy_gap(
        facts.shape,
        facts.edges,
        facts.entropy_gap,
        groups=facts.groups,
        error=facts.entropy_error,
    )


def _gap_words(facts: LayerFacts) -> list[str]:
    if not isinstance(facts, LayerStatistics):
        return []
    share = share_of_random(facts.shape, facts.edges, facts.entropy_gap, facts.groups)
    of_random = "" if share is None else f", {100 * share:.0f} % of random"
    return [f"gap {_gap_text(facts)}{of_random}"]


def _gap_text(facts: LayerStatistics) -> str:
    return "0" if abs(facts.entropy_gap) < _NO_GAP else f"{facts.entropy_gap:.2g}"


def _note(facts: LayerFacts) -> str:
    words = [
        f"{_shape(facts)}, {facts.edges:,} edges, density {facts.density:.4g}",
        f"output degrees {_span(facts.out_degree)}, input degrees {_span(facts.in_degree)}",
        f"{facts.components:,} {'component' if facts.components == 1 else 'components'}",
    ]
    if isinstance(facts, LayerStatistics):
        error = f" ± {facts.entropy_error:.1g}" if facts.entropy_error else ""
        words.append(f"entropy {facts.entropy:.5g}{error} nats, {_gap_text(facts)} below dense")
    return "; ".join(words) + "."


def _shape(facts: LayerFacts) -> str:
    groups = f" in {facts.groups:,} groups" if facts.groups > 1 else ""
    return f"{facts.shape[0]:,} out × {facts.shape[1]:,} in{groups}"


def _span(degrees: DegreeRange) -> str:
    return f"{degrees.min:,}" if degrees.min == degrees.max else f"{degrees.min:,}–{degrees.max:,}"
