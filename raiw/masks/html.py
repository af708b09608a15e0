"""Masks as a notebook shows them."""

from typing import TYPE_CHECKING

from raiw.markup import Markup, table
from raiw.pictures.maps import mask_map, thumbnail
from raiw.statistics import DegreeRange

if TYPE_CHECKING:
    from raiw.masks.mask import Mask
    from raiw.masks.maskset import MaskSet

_COLUMNS = ("out × in", "edges", "density", "in degree", "out degree", "components")
_SMALL, _LARGE = 40, 360


def mask_html(mask: "Mask") -> Markup:
    """Return a mask's map below its facts."""
    picture = mask_map(mask.graph, groups=mask.groups, name=mask.name, width=_LARGE)
    row = table(repr(mask), ("layer", *_COLUMNS), [(mask.name, *_facts(mask))], 1)
    return Markup(f"<div>{row}{picture.inline()}</div>")


def set_html(masks: "MaskSet") -> Markup:
    """Return a table with a row per layer, each with its map."""
    rows = ((name, _picture(mask), *_facts(mask)) for name, mask in masks.items())
    return table(repr(masks), ("layer", "", *_COLUMNS), rows, len(masks))


def _picture(mask: "Mask") -> Markup:
    return Markup(thumbnail(mask.graph, name=mask.name, size=_SMALL).inline())


def _facts(mask: "Mask") -> tuple[str, ...]:
    facts = mask.facts
    out, n_in = mask.shape
    groups = f", {mask.groups:,} groups" if mask.groups > 1 else ""
    return (
        f"{out:,} × {n_in:,}{groups}",
        f"{mask.edges:,}",
        f"{100 * mask.density:.2f} %",
        _span(facts.in_degree),
        _span(facts.out_degree),
        f"{facts.components:,}",
    )


def _span(degrees: DegreeRange) -> str:
    return f"{degrees.min:,}" if degrees.min == degrees.max else f"{degrees.min:,}–{degrees.max:,}"
