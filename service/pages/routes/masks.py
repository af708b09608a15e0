"""``/masks`` and ``/masks/{digest}``: crafted masks, and one set of them."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from raiw.algorithms import ALGORITHMS
from raiw.forms import FORMS
from raiw.pictures.gaps import share_of_random
from raiw.specs.dead import recorded_dead_units, told
from raiw.specs.layers import packed_bytes
from service.access.scopes import CallerDep, needs
from service.contract.access import Scope
from service.contract.jobs import JobPage
from service.contract.masks import MasksView
from service.contract.queries import JobSearch, MasksQuery, TokenOfPage
from service.jobs import keeping, queries, stored
from service.pages.asking import DigestInPath, PageServices
from service.pages.rendering import render, see
from service.pages.shells import origin

router = APIRouter()

_LAYERS = 200
"""Layers on one page."""
_MOST_JOBS = 20


@router.get("/masks", dependencies=[needs(Scope.MASKS_READ)])
def list_masks(services: PageServices, request: Request, page_token: TokenOfPage = "") -> Response:
    """Show the newest masks, or older ones."""
    page = stored.list_masks(services, MasksQuery(page_token=page_token))
    return render(
        request,
        "masks.html",
        masks=page.items,
        older=page.next_page_token,
        first=not page_token,
    )


@router.get("/masks/{digest}", dependencies=[needs(Scope.MASKS_READ)])
def show_masks(
    services: PageServices,
    caller: CallerDep,
    request: Request,
    digest: DigestInPath,
    sort: str = "place",
    first: int = 0,
) -> Response:
    """Show a set of masks: every layer, where it came from, and how to use it."""
    view = stored.get_masks(services, digest)
    rows = _rows(view)
    order = _ORDERS.get(sort, _ORDERS["place"])
    dead = recorded_dead_units(view.document["layers"])
    jobs = JobPage(items=[], next_page_token="")
    if Scope.JOBS_READ in caller.scopes:
        jobs = queries.list_jobs(services, JobSearch(text=digest, page_size=_MOST_JOBS))
    first = min(max(first, 0), max(len(rows) - 1, 0))
    document = view.document
    return render(
        request,
        "mask_set.html",
        view=view,
        forms=[*FORMS],
        document=document,
        algorithm=ALGORITHMS.get(document["algorithm"]),
        rows=sorted(rows, key=order)[first : first + _LAYERS],
        count=len(rows),
        first=first,
        step=_LAYERS,
        sort=sort if sort in _ORDERS else "place",
        totals=_totals(rows),
        certified=any(row["bound"] is not None for row in rows),
        dead=told(dead) if dead else "",
        jobs=jobs.items,
        server=origin(request),
    )


@router.post("/masks/{digest}/measure", dependencies=[needs(Scope.MASKS_READ)])
def measure(services: PageServices, digest: DigestInPath) -> Response:
    """Ask a worker for the entropies."""
    stored.get_statistics(services, digest)
    return see(f"/masks/{digest}?asked=1#layers")


@router.post("/masks/{digest}/pin", dependencies=[needs(Scope.MASKS_WRITE)])
def pin(services: PageServices, digest: DigestInPath) -> Response:
    """Keep masks for good, or not any more."""
    pinned = stored.get_masks(services, digest).pinned
    keeping.pin(services, keeping.MASKS, digest, pinned=not pinned)
    return see(f"/masks/{digest}")


@router.post("/masks/{digest}/remove", dependencies=[needs(Scope.MASKS_WRITE)])
def remove(services: PageServices, digest: DigestInPath) -> Response:
    """Remove masks; an equal request crafts them again."""
    keeping.remove(services, keeping.MASKS, digest)
    return see("/masks")


LayerRow = dict[str, Any]

_ORDERS: dict[str, Callable[[LayerRow], Any]] = {
    "place": lambda row: row["place"],
    "name": lambda row: row["name"],
    "edges": lambda row: -row["facts"]["edges"],
    "density": lambda row: row["facts"]["density"],
    "gap": lambda row: -(row["share"] or 0.0),
}
"""By what layers may be sorted: the largest, sparsest or furthest from dense first."""


def _rows(view: MasksView) -> list[LayerRow]:
    measured = (view.statistics or {}).get("layers", {})
    rows = []
    specs = {layer["name"]: layer for layer in view.document["spec"].get("layers", ())}
    for place, record in enumerate(view.document["layers"]):
        name, facts = record["name"], record["facts"]
        statistics = measured.get(name)
        rows.append(
            {
                "place": place,
                "name": name,
                "kind": specs.get(name, {}).get("kind", ""),
                "facts": facts,
                "requested": record["requested"],
                "completed": record["completed"],
                "statistics": statistics,
                "share": statistics
                and share_of_random(
                    tuple(facts["shape"]),
                    facts["edges"],
                    statistics["entropy_gap"],
                    facts["groups"],
                ),
                "bound": _bound(record),
                "bytes": packed_bytes(tuple(facts["shape"])),
            }
        )
    return rows


def _bound(record: dict[str, Any]) -> float | None:
    """Return the kept score over the most that any graph could keep."""
    kept, bound = record["kept_score"], record["upper_bound"]
    return None if kept is None or not bound else kept / bound


def _totals(rows: list[LayerRow]) -> dict[str, Any]:
    edges = sum(row["facts"]["edges"] for row in rows)
    cells = sum(row["facts"]["shape"][0] * row["facts"]["shape"][1] for row in rows)
    return {
        "edges": edges,
        "cells": cells,
        "density": edges / cells if cells else 0.0,
        "bytes": sum(row["bytes"] for row in rows),
    }
