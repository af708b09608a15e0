"""Masks where people keep models: a folder for the Hugging Face Hub, runs of MLflow and W&B."""

from collections.abc import Callable

from raiw import extras
from raiw.forms import FORMS
from raiw.masks.maskset import MaskSet
from raiw.names import find

FOLDER = "hub"
"""The form that is a folder of files."""

RUNS = {"mlflow": "raiw.publishing.mlflow_run", "wandb": "raiw.publishing.wandb_run"}
"""Modules by the form that is a run, each with ``record(masks, store)``."""

PLACES = (*FORMS, FOLDER, *RUNS)
"""Everything ``raiw export`` can write."""


def record(masks: MaskSet, form: str, store: str) -> str:
    """Record masks as a run of a tracker, and return how to go on from there.

    Parameters
    ----------
    form
        One of :data:`RUNS`.
    store
        A folder; for MLflow also the address of its tracking server or database.

    Raises
    ------
    InvalidInput
        There is no such form, or the store does not take the run.
    MissingExtra
        The tracker's client is not installed.
    """
    recording: Callable[[MaskSet, str], str] = extras.load(find(form, RUNS, "tracker")).record
    return recording(masks, store)
