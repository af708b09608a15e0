"""``/masks/{digest}/layers/{name}``: one layer, its pictures, and the same as text."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from raiw.pictures.degrees import degree_histogram
from raiw.pictures.drawing import Drawing
from raiw.pictures.gaps import entropy_gap, share_of_random
from raiw.pictures.maps import mask_map, thumbnail
from raiw.pictures.spectra import affordable, spectrum
from service.access.scopes import needs
from service.contract.access import Scope
from service.jobs.layers import LayerGraphs, StoredLayer
from service.pages.asking import DigestInPath, LayerPath, PageServices
from service.pages.rendering import HEADERS, render
from service.pages.windows import WIDTH, MapView, furthest_blocks, height

router = APIRouter(dependencies=[needs(Scope.MASKS_READ)])

_NEVER_CHANGES = "private, max-age=31536000, immutable"


def graphs(request: Request) -> LayerGraphs:
    """Return the graphs that this application keeps."""
    kept: LayerGraphs = request.app.state.graphs
    return kept


def _layer(
    services: PageServices, request: Request, digest: DigestInPath, name: LayerPath
) -> StoredLayer:
    return graphs(request).layer(services, digest, name)


Layer = Annotated[StoredLayer, Depends(_layer)]


def _view(layer: Layer, mode: str = "density", rows: str = "", columns: str = "") -> MapView:
    return MapView.of(layer.graph, mode, rows, columns)


View = Annotated[MapView, Depends(_view)]


@router.get("/masks/{digest}/layers/{name}")
def show_layer(
    request: Request, digest: DigestInPath, name: LayerPath, layer: Layer, view: View
) -> Response:
    """Show a layer: its map, degrees, spectrum and entropy, and all of it in words."""
    graph, groups = layer.graph, layer.groups
    names = [record["name"] for record in layer.masks.document["layers"]]
    place = names.index(name)
    statistics = layer.statistics
    return render(
        request,
        "layer.html",
        digest=digest,
        name=name,
        masks=layer.masks.document,
        layer=layer.record,
        facts=layer.facts,
        statistics=statistics,
        share=_share(layer),
        measured=layer.masks.statistics is not None,
        view=view,
        picture=view.picture(graph, groups),
        caption=view.caption(graph, groups),
        size=(WIDTH, height(graph.shape)),
        nearer=view.zoomed(graph.shape, 0.5),
        further=view.zoomed(graph.shape, 2),
        whole=MapView.of(graph, view.mode, "", ""),
        furthest=[*furthest_blocks(graph, groups)],
        degrees={side: _degrees(layer, side) for side in ("outputs", "inputs")},
        gap=None if statistics is None else Markup(_gap(layer).inline()),  # noqa: S704 -- escaped
        spectrum=affordable(graph.shape, groups),
        layer_bytes=graph.bits.nbytes,
        before=names[place - 1] if place else None,
        after=names[place + 1] if place + 1 < len(names) else None,
    )


@router.get("/pages/tiles/{digest}/{name}")
def tiles(layer: Layer, view: View) -> Response:
    """Return the tiles of a window; they never change."""
    headers = HEADERS | {"Cache-Control": _NEVER_CHANGES}
    return JSONResponse(view.to_json(layer.graph, layer.groups), headers=headers)


@router.get("/pages/bits/{digest}/{name}")
def packed_rows(layer: Layer) -> Response:
    """Download the packed rows of a layer, as the API returns them to programs."""
    bits = layer.graph.bits
    headers = HEADERS | {"Cache-Control": _NEVER_CHANGES}
    return Response(bits.tobytes(), headers=headers, media_type="application/octet-stream")


@router.get("/pages/pictures/{digest}/{name}/{what}.svg")
def picture(layer: Layer, name: LayerPath, what: Annotated[str, Path(max_length=40)]) -> Response:
    """Return a picture of a layer as a file."""
    draw = _PICTURES.get(what)
    if (
        draw is None
        or (what == "spectrum" and not affordable(layer.graph.shape, layer.groups))
        or (what == "gap" and layer.statistics is None)
    ):
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no picture {what!r} of this layer")
    headers = HEADERS | {
        "Cache-Control": _NEVER_CHANGES,
        # A file of its own: nothing in it runs or is loaded.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        "Content-Disposition": f'inline; filename="{name}-{what}.svg"',
    }
    return Response(draw(layer).svg(), headers=headers, media_type="image/svg+xml")


def _gap(layer: StoredLayer) -> Drawing:
    statistics = layer.statistics or {}
    return entropy_gap(
        layer.graph.shape,
        layer.facts["edges"],
        statistics["entropy_gap"],
        groups=layer.groups,
        error=statistics["entropy_error"],
    )


def _share(layer: StoredLayer) -> float | None:
    """Return the entropy gap over that expected of a random mask."""
    if layer.statistics is None:
        return None
    gap = layer.statistics["entropy_gap"]
    return share_of_random(layer.graph.shape, layer.facts["edges"], gap, layer.groups)


_PICTURES: dict[str, Callable[[StoredLayer], Drawing]] = {
    "density": lambda layer: mask_map(
        layer.graph, groups=layer.groups, name=layer.record["name"], mode="density"
    ),
    "deviation": lambda layer: mask_map(
        layer.graph, groups=layer.groups, name=layer.record["name"], mode="deviation"
    ),
    "thumbnail": lambda layer: thumbnail(layer.graph, name=layer.record["name"]),
    "outputs": lambda layer: degree_histogram(layer.graph, "outputs", groups=layer.groups),
    "inputs": lambda layer: degree_histogram(layer.graph, "inputs", groups=layer.groups),
    "spectrum": lambda layer: spectrum(layer.graph, groups=layer.groups),
    "gap": _gap,
}
"""Every picture of a layer by its name in addresses."""


def _degrees(layer: StoredLayer, side: Any) -> dict[str, Any]:
    """Return the histogram of a side's degrees, and what it says in numbers."""
    drawing = degree_histogram(layer.graph, side, groups=layer.groups)
    return {"picture": Markup(drawing.inline()), "says": drawing.description}  # noqa: S704 -- escaped
