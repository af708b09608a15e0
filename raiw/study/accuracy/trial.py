"""One run of a study: masks crafted, a network trained with them, and the files it leaves."""

from pathlib import Path

import torch

from raiw.canonical import digest_of_json, hex_digits
from raiw.importance.methods import SCORES, find_score
from raiw.jobs.run_score import score_network
from raiw.jobs.run_train import first_weights
from raiw.pipeline import craft_masks
from raiw.study.accuracy.trials import EVERY_IMAGE, Setting, Trial, folder_of
from raiw.training.checkpoint import FILE as CHECKPOINT
from raiw.training.data.registry import open_dataset
from raiw.training.report import Report
from raiw.training.train import WEIGHTS, OnEpoch, train

MASKS = "masks.safetensors"


def run_trial(setting: Setting, trial: Trial, folder: Path, on_epoch: OnEpoch) -> Report:
    """Craft the masks of one run, train with them, and leave masks, weights and report.

    Raises
    ------
    RaiwError
        The masks cannot be crafted, or the training fails.
    """
    torch.set_num_threads(1)  # runs share the machine, and their numbers do not depend on it
    place = folder_of(folder, trial.key)
    masks = (
        None if trial.craft is None else craft_masks(trial.craft, _scores(setting, trial, folder))
    )
    place.mkdir(parents=True, exist_ok=True)
    if masks is not None:
        masks.save(place / MASKS)
    data = open_dataset(setting.data, setting.data_dir)
    recipe = setting.recipe_of(trial.craft)
    done = train(
        first_weights(setting.network.built(data.shape), None, masks, recipe, trial.seed),
        masks,
        data,
        recipe=recipe,
        seed=trial.seed,
        folder=place,
        device=setting.device,
        on_epoch=on_epoch,
        name=setting.network.name,
    )
    done.save(place)
    (place / CHECKPOINT).unlink(missing_ok=True)
    return done.report


def _scores(setting: Setting, trial: Trial, folder: Path) -> Path | None:
    """Return the file of a run's scores, made by the first run that needs it."""
    method = trial.method.score
    if method is None or trial.scored is None:
        return None
    dense = folder_of(folder, trial.scored)
    name = method if method in SCORES else hex_digits(digest_of_json(method))[:16]
    path = dense / f"{name}-{find_score(method).revision}.scores.safetensors"
    if not path.is_file():
        data = open_dataset(setting.data, setting.data_dir)
        scores = score_network(
            setting.network.built(data.shape).trained(dense / WEIGHTS),
            setting.network.name,
            data,
            method,
            samples=EVERY_IMAGE,
            seed=trial.scored_seed,
            options={},
        )
        scores.save(path)
    return path
