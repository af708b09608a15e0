"""Masks as a run of Weights & Biases, written offline by its own client."""

import os
from pathlib import Path

from raiw import extras
from raiw.masks.maskset import MaskSet
from raiw.publishing.files import metrics, parameters, write_files

_PROJECT = "raiw"


def record(masks: MaskSet, store: str) -> str:
    """Record masks as a finished offline run in a folder; ``WANDB_PROJECT`` names its project.

    Nothing is sent: ``wandb sync`` does that, from the files beside the run.
    """
    wandb = extras.load("wandb")  # only here: its import changes ``sys.stdout`` for good
    Path(store).mkdir(parents=True, exist_ok=True)
    with wandb.init(
        project=os.environ.get("WANDB_PROJECT", _PROJECT),
        name=masks.spec.name or None,
        dir=store,
        mode="offline",
        config=parameters(masks),
        settings=wandb.Settings(console="off", silent=True),
    ) as run:
        folder = Path(run.settings.sync_dir)
        artifact = wandb.Artifact("masks", type="masks", metadata={"digest": masks.digest})
        for path in write_files(masks, folder / "masks"):
            # By the other policy the client would copy the file out of the folder.
            artifact.add_file(str(path), policy="immutable")
        run.log_artifact(artifact)
        run.summary.update(metrics(masks))
    return f"run {run.id}: wandb sync {folder}"
