"""Masks as a run of MLflow: parameters, metrics and artifacts, by its own client."""

import logging
import os
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from raiw import extras
from raiw.errors import InvalidInput
from raiw.masks.maskset import MaskSet
from raiw.publishing.files import metrics, parameters, write_files

_EXPERIMENT = "raiw"


def record(masks: MaskSet, store: str) -> str:
    """Record masks as a finished run; ``MLFLOW_EXPERIMENT_NAME`` names another experiment.

    Parameters
    ----------
    store
        Address of a tracking server or database, or a folder, where a database is made.

    Raises
    ------
    InvalidInput
        The store does not take the run.
    MissingExtra
        SQLAlchemy, which MLflow needs for a database, is not installed.
    """
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri, artifacts = (store, None) if "://" in store else _database(Path(store))
    try:
        client = MlflowClient(uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT)
        found = client.get_experiment_by_name(name)
        experiment = (
            client.create_experiment(name, artifact_location=artifacts)
            if found is None
            else found.experiment_id
        )
        run = client.create_run(experiment, run_name=masks.spec.name or None).info.run_id
        for key, text in parameters(masks).items():
            client.log_param(run, key, text)
        for key, value in metrics(masks).items():
            client.log_metric(run, key, value)
        with tempfile.TemporaryDirectory(prefix="raiw-") as folder:
            write_files(masks, Path(folder))
            client.log_artifacts(run, folder)
        client.set_terminated(run)
    except MlflowException as error:
        raise InvalidInput(f"MLflow's store {uri!r} does not take the run: {error}") from error
    return f"run {run}: mlflow ui --backend-store-uri {uri}"


def _database(folder: Path) -> tuple[str, str]:
    """Return the addresses of a folder's database and of its artifacts."""
    extras.load("sqlalchemy")
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()
