"""Trials depend on seed and results alone, and Optuna opens them."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raiw.searching.kept import keep, opened
from raiw.searching.proposing import Proposals, Proposing, facts_of
from raiw.searching.space import Space

EPOCHS, IMAGES = 4, 50
SPACE = Space({"algorithm": ["regular", "random"], "sizes": [(1, 2), (3,)]}, ["a", "b"], False)


def method(sampler: Any = "tpe", stopping: Any = "none", objectives: int = 1) -> Proposing:
    return Proposing(
        sampler=sampler,
        stopping=stopping,
        objectives=objectives,
        generation=5,
        seed=3,
        epochs=EPOCHS,
        images=IMAGES,
    )


def curve(trial: Any, floors: list[tuple[int, float]] = []) -> list[float]:  # noqa: B006
    """What a run of a trial would measure: the better, the nearer both slopes are."""
    slopes = SPACE.choice(trial.params).slopes
    best = max(0.1, 0.9 - abs(slopes["a"] - slopes["b"]))
    found: list[float] = []
    for epoch in range(1, EPOCHS + 1):
        found.append(round(IMAGES * best * epoch / EPOCHS) / IMAGES)
        if max(found) < dict(floors).get(epoch, 0.0):
            break
    return found


def searched(how: Proposing, trials: int = 15, *, upside_down: bool = False) -> Proposals:
    """Search; the runs of a generation end in one order, or in the other."""
    proposals = Proposals("study", how, SPACE.distributions)
    for parameters in SPACE.drawn(how.seed, 3):
        proposals.start_with(parameters)
    while len(proposals.trials) < trials:
        asked = proposals.ask(how.generation)
        order = asked[::-1] if upside_down else asked
        found = {trial.number: curve(trial, proposals.floors(trial)) for trial in order}
        for trial in asked:
            values = [found[trial.number][-1], 1.0][: how.objectives]
            proposals.tell(trial, values, found[trial.number])
    return proposals


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
@pytest.mark.parametrize("stopping", ["none", "median", "hyperband"])
def test_the_order_in_which_runs_end_changes_no_trial(sampler: str, stopping: str) -> None:
    first, second = (
        searched(method(sampler, stopping), upside_down=order) for order in (False, True)
    )
    assert [facts_of(t) for t in first.trials] == [facts_of(t) for t in second.trials]
    states = {trial.state.name for trial in first.trials}
    assert states <= ({"COMPLETE"} if stopping == "none" else {"COMPLETE", "PRUNED"})


def test_trials_differ_and_another_seed_proposes_others() -> None:
    mine = [trial.params for trial in searched(method()).trials]
    assert len({str(params) for params in mine}) == len(mine)
    other = Proposals("study", Proposing(**{**_fields(method()), "seed": 4}), SPACE.distributions)
    assert [trial.params for trial in other.ask(5)][3:] != mine[3:5]


def _fields(how: Proposing) -> dict[str, Any]:
    return {name: getattr(how, name) for name in Proposing.__dataclass_fields__}


def test_the_median_of_earlier_trials_is_the_floor() -> None:
    proposals = Proposals("study", method("tpe", "median"), SPACE.distributions)
    for trial, accuracy in zip(proposals.ask(5), [0.2, 0.4, 0.5, 0.6, 0.8], strict=True):
        proposals.tell(trial, [accuracy], [accuracy] * EPOCHS)
    (trial,) = proposals.ask(1)
    assert proposals.floors(trial) == [(1, 0.5), (2, 0.5), (3, 0.5)]


def test_a_front_is_what_no_other_trial_beats() -> None:
    proposals = Proposals("study", method("nsga2", objectives=2), SPACE.distributions)
    found = [(0.9, 10.0), (0.8, 5.0), (0.8, 7.0), (0.95, 20.0), (0.7, 30.0)]
    for trial, values in zip(proposals.ask(5), found, strict=True):
        proposals.tell(trial, values, [values[0]] * EPOCHS)
    assert sorted(trial.number for trial in proposals.best) == [0, 1, 3]


def study(proposals: Proposals, count: int | None = None) -> dict[str, Any]:
    trials = [facts_of(trial) for trial in proposals.trials][:count]
    return {"name": "s", "directions": ["maximize"], "metrics": ["accuracy"], "trials": trials}


def test_optuna_opens_what_is_kept_and_every_trial_is_there_once(tmp_path: Path) -> None:
    proposals = searched(method("tpe", "median"))
    url = f"sqlite:///{tmp_path / 'optuna.sqlite'}"
    for count in (5, 10, 10, None):
        with opened(url) as storage:
            keep(storage, study(proposals, count))
    with opened(url) as storage:
        loaded = optuna.load_study(study_name="s", storage=storage)
        assert [trial.params for trial in loaded.trials] == [t.params for t in proposals.trials]
        assert [t.intermediate_values for t in loaded.trials] == [
            t.intermediate_values for t in proposals.trials
        ]
        assert loaded.best_value == proposals.best[0].value


def test_other_trials_under_a_name_replace_what_was_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.sqlite'}"
    for sampler in ("tpe", "nsga2"):
        proposals = searched(method(sampler))
        with opened(url) as storage:
            keep(storage, study(proposals))
    with opened(url) as storage:
        loaded = optuna.load_study(study_name="s", storage=storage)
        assert [trial.params for trial in loaded.trials] == [t.params for t in proposals.trials]


def test_trials_that_run_are_kept_once_they_have_ended(tmp_path: Path) -> None:
    proposals = searched(method(), trials=5)
    proposals.ask(5)
    with opened(f"sqlite:///{tmp_path / 'optuna.sqlite'}") as storage:
        keep(storage, study(proposals))
        assert len(optuna.load_study(study_name="s", storage=storage).trials) == 5


slopes = st.dictionaries(st.sampled_from("ab"), st.floats(0, 10), min_size=2)


@given(slopes, st.sampled_from(["regular", "random"]), st.sampled_from([(1, 2), (3,)]))
@settings(max_examples=50)
def test_a_configuration_is_its_parameters(
    found: dict[str, float], algorithm: str, sizes: tuple[int, ...]
) -> None:
    values = {"algorithm": algorithm, "sizes": sizes}
    choice = SPACE.choice(SPACE.parameters(values, found))
    assert choice.values == values
    most = max(found.values()) or 1.0
    assert choice.slopes == pytest.approx({n: max(s / most, 1e-3) for n, s in found.items()})
    for name, distribution in SPACE.distributions.items():
        assert distribution._contains(
            distribution.to_internal_repr(SPACE.parameters(values, found)[name])
        )
