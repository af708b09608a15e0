"""Masks in the Trainer of Hugging Face: held while a model is trained, saved with its checkpoints.

``Trainer(…, callbacks=[MaskTrainerCallback("masks.safetensors")])`` is all. In ``checkpoint-500``
lies ``masks.safetensors``; whoever loads the checkpoint without a trainer gives it to
:func:`raiw.apply`.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from raiw.applying.apply import Handle
from raiw.applying.beside import find_set, held_set, put
from raiw.masks import MaskSet, load

FILE = "masks.safetensors"


class MaskTrainerCallback(TrainerCallback, ExportableState):  # type: ignore[misc]  # its types are not followed
    """Hold masks on a model, save them in every checkpoint and put them back on resume.

    Parameters
    ----------
    masks
        Masks or their file. Left out, those that the model holds already. A checkpoint that is
        resumed brings its own.

    Raises
    ------
    InvalidMasks, NotFound
        As :func:`raiw.load` says; what :func:`raiw.apply` raises comes when the training starts.
    """

    def __init__(self, masks: MaskSet | str | Path | None = None) -> None:
        self.handle: Handle | None = None
        """The masks on the model, once training has begun; ``handle.update`` changes them."""
        self.digest: str | None = None
        """Digest of the masks in a checkpoint that restores its callbacks."""
        self._masks = load(masks) if isinstance(masks, str | Path) else masks

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        *,
        model: nn.Module,
        **_: Any,
    ) -> None:
        """Put the masks on: those of the checkpoint that is resumed, or those given."""
        resumed = state.stateful_callbacks.get(type(self).__name__, {})
        digest = resumed.get("attributes", {}).get("digest") if state.global_step else None
        given = None if self.handle is not None and self.handle.model is model else self._masks
        self.handle = put(model, find_set(digest, given, _places(args, state)))

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        """Write the mask file into the checkpoint's folder."""
        folder = _checkpoint(args, state)
        if not state.is_world_process_zero or self.handle is None:
            return
        if not folder.is_dir():
            warnings.warn(
                f"there is no {str(folder)!r}, so the masks were not saved with the checkpoint: "
                f"callback.handle.masks.save(…) does",
                stacklevel=2,
            )
            return
        held_set(self.handle).save(folder / FILE)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        """Warn if the best weights were loaded and had other masks."""
        if not args.load_best_model_at_end or state.best_model_checkpoint is None:
            return
        best = _Folder(Path(state.best_model_checkpoint)).read()
        if best is not None and self.handle is not None and best != held_set(self.handle):
            warnings.warn(
                f"the weights of {state.best_model_checkpoint!r} were saved with other masks and "
                f"have been cut by those of today: callback.handle.update(its {FILE}), then load "
                f"its weights again",
                stacklevel=2,
            )

    def state(self) -> dict[str, Any]:
        """Return the digest of the masks, which the checkpoint's trainer_state.json keeps."""
        digest = self.digest if self.handle is None else held_set(self.handle).digest
        return {"args": {}, "attributes": {"digest": digest}}


class _Folder:
    """The folder of a checkpoint."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    def read(self) -> MaskSet | None:
        """Return its masks."""
        return load(self._file) if self._file.is_file() else None


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


def _places(args: TrainingArguments, state: TrainerState) -> Iterator[_Folder]:
    """Yield where a checkpoint that is resumed may lie."""
    if isinstance(args.resume_from_checkpoint, str) and args.resume_from_checkpoint != "True":
        yield _Folder(Path(args.resume_from_checkpoint))
    yield _Folder(_checkpoint(args, state))
