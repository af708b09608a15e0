"""What a study by training found: every run, and a row for each method and density."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from raiw.errors import RaiwError
from raiw.significance import AccuracyDifference, holm, paired
from raiw.study.accuracy.trials import Trial, TrialPlan
from raiw.training.report import Report

TrialOutcome = Report | RaiwError
"""The outcome of a run."""
Reports = dict[int, Report]
"""A method's finished runs at one density, by seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training run; ``error`` says why it has no numbers."""

    method: str
    density: float | None
    """None for the dense network."""
    seed: int
    key: str
    accuracy: float | None = None
    """Test accuracy after the last epoch."""
    best_accuracy: float | None = None
    weights: int | None = None
    flops: int | None = None
    """Operations for one input: two for each weight at each of its positions."""
    masks: str | None = None
    """Content digest."""
    error: str | None = None
    """Its code."""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A method at a density, over the seeds that it finished."""

    method: str
    density: float
    """The density at which it is compared; the dense network is at each."""
    runs: int
    weights: float
    """Mean of the weights trained."""
    mean: float
    deviation: float | None
    """Standard deviation over seeds, n - 1 in the denominator; None for one run."""
    worst: float
    difference: AccuracyDifference | None
    """Compared with the base at this density; None for the base itself."""
    t_test_holm: float | None = None
    """p of the t-test, corrected for all comparisons at this density."""
    sign_flip_holm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyStudy:
    """Accuracies of one network, trained from scratch with the masks of several methods."""

    network: str
    dataset: str
    dataset_digest: str
    spec: dict[str, Any]
    recipe: dict[str, Any]
    base: str
    methods: tuple[str, ...]
    densities: tuple[float, ...]
    seeds: tuple[int, ...]
    fixed_graph: bool
    """Whether methods with scores have one graph for all seeds."""
    runs: tuple[Run, ...]
    rows: tuple[TrialRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the study as JSON-serialisable values."""
        return asdict(self)


def summarise(plan: TrialPlan, outcomes: Mapping[str, TrialOutcome]) -> AccuracyStudy:
    """Put the outcomes of all runs, by key, into one study."""
    runs = tuple(_run(trial, outcomes[trial.key]) for trial in plan.trials)
    rows = [row for density in plan.densities for row in _group(plan, density, outcomes)]
    setting = plan.setting
    return AccuracyStudy(
        network=setting.network.name,
        dataset=setting.data,
        dataset_digest=setting.data_digest,
        spec=plan.spec.canonical(),
        recipe=setting.recipe.model_dump(mode="json"),
        base=plan.methods[0].name,
        methods=tuple(method.name for method in plan.methods),
        densities=plan.densities,
        seeds=plan.seeds,
        fixed_graph=plan.fixed_graph,
        runs=runs,
        rows=tuple(rows),
    )


def _run(trial: Trial, outcome: TrialOutcome) -> Run:
    run = Run(method=trial.method.name, density=trial.density, seed=trial.seed, key=trial.key)
    if isinstance(outcome, RaiwError):
        return replace(run, error=outcome.code, reason=outcome.message)
    return replace(
        run,
        accuracy=outcome.accuracy,
        best_accuracy=outcome.best_accuracy,
        weights=outcome.weights,
        flops=outcome.flops,
        masks=outcome.masks,
    )


def _group(plan: TrialPlan, density: float, outcomes: Mapping[str, TrialOutcome]) -> list[TrialRow]:
    """Return the rows of a density, each compared with the base."""
    finished: dict[str, Reports] = {method.name: {} for method in plan.methods}
    for trial in plan.trials:
        outcome = outcomes[trial.key]
        if trial.density in {density, None} and isinstance(outcome, Report):
            finished[trial.method.name][trial.seed] = outcome
    base = plan.methods[0].name
    rows = [
        _row(name, density, reports, {} if name == base else finished[base])
        for name, reports in finished.items()
        if reports
    ]
    tests = [row.difference for row in rows]
    t_tests = holm([test.t_test if test else None for test in tests])
    sign_flips = holm([test.sign_flip if test else None for test in tests])
    return [
        replace(row, t_test_holm=t_test, sign_flip_holm=sign_flip)
        for row, t_test, sign_flip in zip(rows, t_tests, sign_flips, strict=True)
    ]


def _row(name: str, density: float, reports: Reports, base: Reports) -> TrialRow:
    accuracies = [report.accuracy for report in reports.values()]
    common = sorted(reports.keys() & base.keys())
    difference = (
        paired(
            [reports[seed].accuracy for seed in common], [base[seed].accuracy for seed in common]
        )
        if common
        else None
    )
    return TrialRow(
        method=name,
        density=density,
        runs=len(accuracies),
        weights=statistics.fmean(report.weights for report in reports.values()),
        mean=statistics.fmean(accuracies),
        deviation=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        worst=min(accuracies),
        difference=difference,
    )
