"""Proposition 1 of RAIW and where it fails: examples found by going through all small layers.

It says that every degree lies between ``floor(2m / n)`` and ``ceil(2m / n)``, with ``n`` vertices
on both sides together. Where the sides are unequal, that asks of both the same mean degree, which
``m`` edges give neither. Where they are equal, Algorithm 2 as printed can end one off.
"""

import itertools
from collections import defaultdict
from fractions import Fraction
from functools import cache

import numpy as np

from raiw.crafting.algorithms.regular import build
from raiw.crafting.network import craft_network
from raiw.crafting.randomness import Stream
from raiw.graphs import Bools
from raiw.pictures.drawing import headed
from raiw.pictures.heat import heat_map
from raiw.pictures.lines import Line, line_chart
from raiw.pictures.palette import Look
from raiw.pictures.panels import panels
from raiw.reproduction.picture import DataRow, Picture
from raiw.reproduction.rows import Row, compared
from raiw.specs.spec import Spec

_LARGEST = 32
"""Vertices of a side, up to which all unequal layers are gone through."""
_SQUARES = (3, 4)
"""Sides of the square layers whose every run of Algorithm 2 is gone through."""
_CASES = ((3, 6), (4, 8), (4, 12))
_SEEDS = 1000
_VGG_LAYER = "conv5"
_NETWORK, _NETWORK_EDGES = (8, 8, 8), 64
_HEIGHT = 406
_BOTH = "the mean over both sides is the mean of neither where they differ"
_LAST = "the last two vertices with room are joined already, and one takes an edge too many"

Outside = dict[int, Fraction]
"""Probability that Algorithm 2 ends outside the printed range, by edges."""
Sides = tuple[int, int]


def proposition1() -> list[Row]:
    """Return where the printed range is left, and where no graph could lie in it."""
    rows: list[Row] = []
    for side, edges in _CASES:
        label = f"{side}×{side}, {edges} edges: share of the runs of Algorithm 2 outside the range"
        rows.append(Row(label, "0", str(outside(side)[edges]), "mismatch", _LAST))
    side, edges = _CASES[0]
    label = f"{side}×{side}, {edges} edges: graphs of raiw's regular outside the range"
    rows.append(compared(label, "0", str(_repaired(side, edges)), note=f"{_SEEDS} seeds"))
    kept, total = _counted()
    rows.append(
        Row(
            f"unequal sides of 2 to {_LARGEST}: numbers of edges with any graph in the range",
            "all",
            f"{kept:,} of {total:,}",
            "mismatch",
            _BOTH,
        )
    )
    n_1, n_2, edges = smallest()
    low, high = printed_range(n_1 + n_2, edges)
    least = -(-edges // n_1)
    rows.append(
        Row(
            f"{n_1}×{n_2}, {edges} edges, the smallest such layer: degrees",
            _span(low, high),
            f"one of {least} or more among the {n_1}",
            "mismatch",
            _BOTH,
        )
    )
    return [*rows, _vgg(), _network()]


def printed_range(vertices: int, edges: int) -> tuple[int, int]:
    """Return the least and the largest degree that Proposition 1 allows.

    >>> printed_range(5, 5)
    (2, 2)
    """
    return 2 * edges // vertices, -(-2 * edges // vertices)


@cache
def outside(side: int) -> Outside:
    """Return how likely Algorithm 2 ends outside the range, exactly: all its runs are counted.

    A graph is the bits of its edges. From each, edges of least ``(d_u + 1)² + (d_v + 1)²`` follow,
    each as likely as the others.
    """
    places = [(1 << (side * u + v), u, v) for u in range(side) for v in range(side)]
    level: dict[int, Fraction] = {0: Fraction(1)}
    found: Outside = {}
    for edges in range(1, side * side + 1):
        following: dict[int, Fraction] = defaultdict(Fraction)
        for graph, chance in level.items():
            ins, outs = _degrees(graph, side)
            costs = [
                ((ins[u] + 1) ** 2 + (outs[v] + 1) ** 2, graph | bit)
                for bit, u, v in places
                if not graph & bit
            ]
            least = min(costs)[0]
            best = [grown for cost, grown in costs if cost == least]
            for grown in best:
                following[grown] += chance / len(best)
        level = following
        low, high = printed_range(2 * side, edges)
        found[edges] = sum(
            (
                chance
                for graph, chance in level.items()
                if any(
                    not low <= degree <= high for ends in _degrees(graph, side) for degree in ends
                )
            ),
            Fraction(0),
        )
    return found


def _degrees(graph: int, side: int) -> tuple[list[int], list[int]]:
    row = (1 << side) - 1
    rows = [graph >> side * u & row for u in range(side)]
    return [each.bit_count() for each in rows], [
        sum(each >> v & 1 for each in rows) for v in range(side)
    ]


@cache
def fitting() -> dict[Sides, Bools]:
    """Return for which numbers of edges, from 1, a graph lies in the range, by unequal sides.

    Degrees of a side as even as possible lie in a range if any do, and a graph that has both
    sides even always exists (Gale and Ryser); so no graph has to be built.
    """
    found = {}
    for n_1, n_2 in itertools.combinations(range(2, _LARGEST + 1), 2):
        edges = np.arange(1, n_1 * n_2 + 1)
        low, high = 2 * edges // (n_1 + n_2), -(-2 * edges // (n_1 + n_2))
        one, other = ((low <= edges // n) & (-(-edges // n) <= high) for n in (n_1, n_2))
        found[n_1, n_2] = one & other
    return found


def smallest() -> tuple[int, int, int]:
    """Return the sides of the smallest layer, and the fewest edges, with no graph in the range."""
    n_1, n_2 = min((sides for sides, fits in fitting().items() if not fits.all()), key=sum)
    return n_1, n_2, int(np.argmin(fitting()[n_1, n_2])) + 1


def draw_proposition1() -> list[Picture]:
    """Draw how often Algorithm 2 leaves the range, and how rarely unequal sides can keep it."""
    looks = (Look("series-1", "circle"), Look("series-2", "square"))
    lines = [
        Line(
            name=f"{side} × {side}",
            points=[(edges, 100 * float(chance)) for edges, chance in outside(side).items()],
            look=look,
            joined=False,
            marked=True,
        )
        for side, look in zip(_SQUARES, looks, strict=True)
    ]
    equal = line_chart(
        lines,
        x="edges",
        y="runs outside the range, %",
        title="Equal sides: Algorithm 2 as printed",
        description=" ".join(
            f"{side} × {side}: at most {float(max(outside(side).values())):.1%} of the runs."
            for side in _SQUARES
        ),
        up=(0, 45),
        height=_HEIGHT,
        whole=True,
    )
    shares = np.full((_LARGEST - 1, _LARGEST - 1), np.nan)
    for (n_1, n_2), fits in fitting().items():
        shares[n_2 - 2, n_1 - 2] = fits.mean()
    kept, total = _counted()
    unequal = heat_map(
        shares,
        (2, 2),
        x="vertices of the smaller side",
        y="vertices of the larger side",
        unit="of all m",
        title="Unequal sides: any graph at all",
        description=f"{kept:,} of {total:,} layers have a graph in the printed range.",
    )
    return [
        Picture.of(
            "proposition1",
            panels(
                [[headed(each, each.title) for each in (equal, unequal)]], title="Proposition 1"
            ),
            [*_equal_records(), *_unequal_records()],
            "Proposition 1: degrees between floor(2m/n) and ceil(2m/n)",
            "Left: the exact share of runs that end outside, on square layers. Right: the share "
            "of all numbers of edges m for which any graph has its degrees in the range; n counts "
            "the vertices of both sides.",
        )
    ]


def _counted() -> tuple[int, int]:
    """Return how many unequal layers have a graph in the range, and of how many."""
    return (
        sum(int(fits.sum()) for fits in fitting().values()),
        sum(len(fits) for fits in fitting().values()),
    )


def _equal_records() -> list[DataRow]:
    return [
        _record(side, side, edges, "runs outside", float(chance))
        for side in _SQUARES
        for edges, chance in outside(side).items()
    ]


def _unequal_records() -> list[DataRow]:
    return [
        _record(
            n_1, n_2, "", "numbers of edges with a graph in the range", round(float(fits.mean()), 9)
        )
        for (n_1, n_2), fits in fitting().items()
    ]


def _record(n_1: int, n_2: int, edges: int | str, share_of: str, share: float) -> DataRow:
    return {
        "smaller_side": n_1,
        "larger_side": n_2,
        "edges": edges,
        "share_of": share_of,
        "share": round(share, 9),
    }


def _vgg() -> Row:
    """Return a layer of the paper's own VGG-16."""
    layers = {layer.name: layer for layer in Spec.load("raiw/vgg16-d16").plan().layers}
    layer = layers[_VGG_LAYER]
    (low, _), (_, high) = layer.degree_range("out"), layer.degree_range("in")
    out, n_in = layer.shape
    return Row(
        f"VGG-16 d-16, {_VGG_LAYER}, {n_in}→{out}: degrees of outputs and inputs",
        _span(*printed_range(n_in + out, layer.edges)),
        f"{low} and {high}",
        "mismatch",
        f"{_BOTH}; Table 4's own layer",
    )


def _network() -> Row:
    """Return a graph over a whole network of equal layers."""
    folded = craft_network(_NETWORK, _NETWORK_EDGES, "regular").folded
    degrees = np.concatenate([folded.out_degrees(), folded.in_degrees()])
    return Row(
        f"one graph over {'-'.join(map(str, _NETWORK))}, {_NETWORK_EDGES} edges: degrees",
        _span(*printed_range(sum(_NETWORK), _NETWORK_EDGES)),
        _span(int(degrees.min()), int(degrees.max())),
        "mismatch",
        "the middle layer has both others as neighbours; Algorithm 2 as printed, seed 0",
    )


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _repaired(side: int, edges: int) -> int:
    """Return how many of raiw's graphs lie outside the range."""
    low, high = printed_range(2 * side, edges)
    count = 0
    for seed in range(_SEEDS):
        graph = build((side, side), edges, scores=None, stream=Stream(seed, "layer", 0)).graph
        degrees = np.concatenate([graph.out_degrees(), graph.in_degrees()])
        count += bool(degrees.min() < low or degrees.max() > high)
    return count
