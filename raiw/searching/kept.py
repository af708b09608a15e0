"""The trials of a search in an Optuna storage, where its dashboard and its library open them.

The storage shows a search and decides nothing: a search that is started again replays its trials
from their results, and what the storage lacks is added. So it may be lost, or lag behind.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import json_to_distribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial


def keep(storage: RDBStorage, study: dict[str, Any]) -> None:
    """Store the finished trials of a search: ``name``, ``directions``, ``metrics``, ``trials``.

    Each is added once; if the stored ones are others, as after an update of Optuna, they are
    replaced.
    """
    name, directions = study["name"], study["directions"]
    trials = [_trial(facts) for facts in study["trials"]]
    wanted = [trial for trial in trials if trial.state.is_finished()]
    known = optuna.create_study(
        study_name=name, storage=storage, directions=directions, load_if_exists=True
    )
    stored = known.get_trials(deepcopy=False)
    if [each.params for each in stored] != [each.params for each in wanted[: len(stored)]]:
        optuna.delete_study(study_name=name, storage=storage)
        known = optuna.create_study(study_name=name, storage=storage, directions=directions)
        stored = []
    if not stored:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            known.set_metric_names(study["metrics"])
    known.add_trials(wanted[len(stored) :])


@contextmanager
def opened(url: str, schema: str | None = None) -> Iterator[RDBStorage]:
    """Open an Optuna storage, in a schema of its own where the database has others' tables."""
    options = {"connect_args": {"options": f"-csearch_path={schema}"}} if schema else {}
    storage = RDBStorage(url, engine_kwargs=options)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _trial(facts: dict[str, Any]) -> FrozenTrial:
    return create_trial(
        state=TrialState[facts["state"]],
        values=facts["values"],
        params=facts["params"],
        distributions={
            name: json_to_distribution(text) for name, text in facts["distributions"].items()
        },
        intermediate_values={int(epoch): value for epoch, value in facts["curve"].items()},
        user_attrs=facts["notes"],
    )
