"""Craft one spec with several methods and seeds, and measure every layer of each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raiw.errors import RaiwError
from raiw.jobs.study import DEFAULT_SEEDS, default_methods, plan_runs
from raiw.masks import Mask, MaskSet
from raiw.masks.compare import compare
from raiw.pipeline import craft_masks
from raiw.scores.importance import Importance, open_importance
from raiw.specs.spec import Spec
from raiw.study.graphs.found import Measured, Study

OnRun = Callable[[int, int, str], None]
"""Called with the number of runs done, the total, and the method just run."""


def study(
    spec: Spec | Mapping[str, Any] | str | Path,
    importance: Importance | Mapping[str, Any] | str | Path | None = None,
    *,
    methods: Sequence[str] = (),
    seeds: int = DEFAULT_SEEDS,
    on_run: OnRun | None = None,
) -> Study:
    """Craft a spec with every method and seed, and measure the graphs.

    Methods that draw nothing are run once. A method that cannot craft the spec is left out, with
    its reason.

    Parameters
    ----------
    methods
        Names of algorithms, the first one to compare the others with. Left out: ``raiw``,
        ``balanced``, ``regular`` and ``random`` with scores, ``regular``, ``random`` and
        ``expander`` without.
    seeds
        Runs of each method that draws at random, from the spec's seed on.

    Raises
    ------
    InvalidInput
        A method is unknown, or ``seeds`` is less than 1.
    InvalidSpec, InvalidTensors, NotFound
        As :func:`raiw.craft` says.
    """
    spec = Spec.of(spec)
    scores = None if importance is None else open_importance(importance, spec)
    chosen = tuple(methods) or default_methods(scored=scores is not None)
    runs = plan_runs(chosen, seeds)
    rows: list[Measured] = []
    refused: dict[str, str] = {}
    first: dict[int, MaskSet] = {}
    for done, (name, offset) in enumerate(runs, 1):
        seed = spec.craft.seed + offset
        if name not in refused:
            try:
                masks = craft_masks(_with(spec, name, seed), scores)
            except RaiwError as error:
                refused[name] = error.message
            else:
                if name == chosen[0]:
                    first[offset] = masks
                base = first.get(offset, first.get(0, masks))
                rows += _measure(name, seed, masks, base)
        if on_run is not None:
            on_run(done, len(runs), name)
    return Study(spec.name, chosen, seeds, tuple(rows), refused)


def _with(spec: Spec, algorithm: str, seed: int) -> Spec:
    document = spec.canonical()
    craft_section = document.get("craft", {}) | {"algorithm": algorithm, "seed": seed}
    return Spec.parse(document | {"craft": craft_section})


def _measure(method: str, seed: int, masks: MaskSet, base: MaskSet) -> list[Measured]:
    overlaps = {layer.name: layer.jaccard for layer in compare(masks, base).layers}
    return [_row(method, seed, mask, overlaps[name]) for name, mask in masks.items()]


def _row(method: str, seed: int, mask: Mask, overlap: float) -> Measured:
    stats = mask.stats
    return Measured(
        method=method,
        seed=seed,
        layer=mask.name,
        edges=mask.edges,
        in_degree=(stats.in_degree.min, stats.in_degree.max),
        out_degree=(stats.out_degree.min, stats.out_degree.max),
        entropy=stats.entropy,
        entropy_error=stats.entropy_error,
        entropy_gap=stats.entropy_gap,
        algebraic_connectivity=stats.algebraic_connectivity,
        spectral_gap=stats.spectral_gap,
        components=stats.components,
        kept_score=mask.kept_score,
        score_gap=mask.gap,
        overlap=overlap,
    )
