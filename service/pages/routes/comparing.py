"""``/compare``: what two sets of masks share, and where a layer differs."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from raiw.canonical import SHA256, is_digest
from raiw.errors import InvalidInput, TooLarge
from raiw.masks import MaskSet, load
from raiw.masks.compare import Difference
from service.access.scopes import needs
from service.contract.access import Scope
from service.contract.queries import MasksQuery
from service.jobs import stored
from service.jobs.services import Services
from service.pages.asking import PageServices
from service.pages.rendering import render, see
from service.pages.routes.layers import graphs
from service.pages.windows import WIDTH, MapView, height

router = APIRouter(dependencies=[needs(Scope.MASKS_READ)])

_MOST_BYTES = 256 << 20
_CHOICES = 100
_MOST_ROWS = 500

_Digest = Annotated[str, Query(pattern=f"^({SHA256})?$")]


@router.get("/compare")
def compare(  # noqa: PLR0913, PLR0917 -- two sets, and how they are looked at
    services: PageServices,
    request: Request,
    a: _Digest = "",
    b: _Digest = "",
    digest: Annotated[list[str] | None, Query(max_length=100)] = None,
    layer: Annotated[str, Query(max_length=200)] = "",
    mode: str = "deviation",
    every: str = "",
) -> Response:
    """Choose two sets of masks, or show how they differ."""
    if digest is not None:
        return see(_of_ticked(digest))
    if not (a and b):
        return render(request, "compare_choice.html", choices=_choices(services), a=a, b=b)
    first, second = _load(services, a), _load(services, b)
    difference = first.diff(second)
    rows = [each for each in difference.layers if every or each.only_a or each.only_b]
    chosen = (
        layer if layer in {each.name for each in difference.layers} else _most_changed(difference)
    )
    return render(
        request,
        "compare.html",
        a=a,
        b=b,
        sets=[("A", a, first), ("B", b, second)],
        facts=_facts(first, second),
        difference=difference,
        sums=_sums(difference),
        rows=rows[:_MOST_ROWS],
        left_out=max(len(rows) - _MOST_ROWS, 0),
        every=bool(every),
        layer=chosen,
        viewers=_viewers(request, services, (a, b), chosen, mode) if chosen else [],
        mode=mode,
    )


def _of_ticked(digests: list[str]) -> str:
    if len(digests) != 2 or not all(map(is_digest, digests)):  # noqa: PLR2004 -- two to compare
        raise InvalidInput(
            f"two sets of masks can be compared, and {len(digests)} were ticked: go back and tick "
            f"two"
        )
    return f"/compare?a={digests[0]}&b={digests[1]}"


def _choices(services: Services) -> list[tuple[str, str]]:
    """Return the masks to choose from, the newest first: digest and what they are called."""
    page = stored.list_masks(services, MasksQuery(page_size=_CHOICES))
    return [
        (each.digest, f"{each.name or 'unnamed'} · {each.algorithm} · {each.digest[7:19]}")
        for each in page.items
    ]


def _load(services: Services, digest: str) -> MaskSet:
    file = stored.open_masks(services, digest)
    if file.row.size > _MOST_BYTES:
        raise TooLarge(
            f"the masks {digest} have {file.row.size} bytes, and a page compares {_MOST_BYTES} at "
            f"most: download both, and run raiw diff",
            limit=_MOST_BYTES,
        )
    file.verify()
    return load(b"".join(file.read(0, file.row.size)), verify=False)


def _facts(a: MaskSet, b: MaskSet) -> list[tuple[str, Any, Any]]:
    """Return what differs between two sets as a whole."""
    pairs = [
        ("network", a.origin.spec.get("name", ""), b.origin.spec.get("name", "")),
        ("algorithm", a.algorithm, b.algorithm),
        ("revision", a.origin.revision, b.origin.revision),
        ("seed", a.seed, b.seed),
        ("scores", (a.importance or "none")[:19], (b.importance or "none")[:19]),
        ("layers", len(a), len(b)),
        ("edges", a.edges, b.edges),
        ("weights", a.weights, b.weights),
        ("density of weights", f"{100 * a.density:.3f} %", f"{100 * b.density:.3f} %"),
        ("dead units", _dead(a), _dead(b)),
    ]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _dead(masks: MaskSet) -> int:
    return sum(units.outputs + units.inputs for units in masks.dead_units)


def _most_changed(difference: Difference) -> str:
    """Return the layer to look at first: the one in which the most edges differ."""
    layers = sorted(difference.layers, key=lambda each: -(each.only_a + each.only_b))
    return layers[0].name if layers else ""


def _sums(difference: Difference) -> dict[str, float]:
    shared, only_a, only_b = (
        sum(getattr(layer, name) for layer in difference.layers)
        for name in ("shared", "only_a", "only_b")
    )
    either = shared + only_a + only_b
    jaccard = shared / either if either else 1.0
    return {"shared": shared, "only_a": only_a, "only_b": only_b, "jaccard": jaccard}


def _viewers(
    request: Request, services: Services, digests: tuple[str, str], name: str, mode: str
) -> list[dict[str, Any]]:
    """Return the map of a layer in both sets, which move together."""
    found = []
    for digest in digests:
        layer = graphs(request).layer(services, digest, name)
        view = MapView.of(layer.graph, mode, "", "")
        found.append(
            {
                "digest": digest,
                "facts": layer.facts,
                "view": view,
                "picture": view.picture(layer.graph, layer.groups),
                "caption": view.caption(layer.graph, layer.groups),
                "size": (WIDTH, height(layer.graph.shape)),
            }
        )
    return found
