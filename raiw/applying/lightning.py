"""Masks in PyTorch Lightning: held while a module is trained, and saved with its checkpoints.

``Trainer(callbacks=[MaskCallback("masks.safetensors")])`` is all. Beside ``last.ckpt`` lies
``last.masks.safetensors``; whoever loads the checkpoint without a trainer gives it to
:func:`raiw.apply`.
"""

from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.cloud_io import get_filesystem
from lightning.pytorch import Callback, LightningModule, Trainer

from raiw.applying.apply import Handle
from raiw.applying.beside import find_set, held_set, put
from raiw.errors import InvalidInput
from raiw.masks import MaskSet, load


class MaskCallback(Callback):  # type: ignore[misc]  # its types are not followed
    """Hold masks on a module, save them beside every checkpoint and put them back on load.

    It stands before callbacks that copy the module, such as those of averages. Strategies that
    write a checkpoint of several files by themselves (sharded ones) save no masks; with masks that
    do not change these need none.

    Parameters
    ----------
    masks
        Masks or their file. Left out, those that the module holds already. A checkpoint that is
        resumed or tested brings its own.

    Raises
    ------
    InvalidMasks, NotFound
        As :func:`raiw.load` says; what :func:`raiw.apply` raises comes when the trainer starts.
    """

    handle: Handle | None = None
    """The masks on the module, once the trainer has started; ``handle.update`` changes them."""

    def __init__(self, masks: MaskSet | str | Path | None = None) -> None:
        self._masks = load(masks) if isinstance(masks, str | Path) else masks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Put the masks on, and watch what is saved and loaded."""
        started = self.handle is not None and self.handle.model is pl_module
        self.handle = put(pl_module, None if started else self._masks)
        strategy = trainer.strategy
        if not isinstance(strategy.checkpoint_io, _MasksBeside):
            strategy.checkpoint_io = _MasksBeside(strategy.checkpoint_io, self)

    def put_back(self, checkpoint: dict[str, Any], path: Any) -> None:
        """Hold the masks of a checkpoint before its weights are loaded, which others would cut.

        Raises
        ------
        InvalidInput
            The mask file is missing, and the masks are not those given.
        """
        digest = self._digest_in(checkpoint)
        if self.handle is None or digest in {None, held_set(self.handle).digest}:
            return
        masks = find_set(digest, self._masks, [_Beside(path)])
        if masks is not None:
            self.handle.update(masks)

    def state_dict(self) -> dict[str, Any]:
        """Return the digest of the masks, which the checkpoint keeps."""
        return {} if self.handle is None else {"digest": held_set(self.handle).digest}

    def on_load_checkpoint(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],
    ) -> None:
        """Make sure that the masks were put back; strategies with files of their own do not."""
        digest = self._digest_in(checkpoint)
        if self.handle is not None and digest not in {None, held_set(self.handle).digest}:
            raise InvalidInput(
                f"the checkpoint was saved with masks {digest}, and other masks have cut its "
                f"weights, since {type(trainer.strategy).__name__} reads files of its own: give "
                f"these masks to the callback",
                digest=digest,
            )

    def _digest_in(self, checkpoint: dict[str, Any]) -> str | None:
        digest: str | None = checkpoint.get("callbacks", {}).get(self.state_key, {}).get("digest")
        return digest


class _MasksBeside(CheckpointIO):  # type: ignore[misc]
    """Reads and writes checkpoints as another does, and the mask file beside them."""

    def __init__(self, inner: CheckpointIO, callback: MaskCallback) -> None:
        self._inner = inner
        self._callback = callback

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, *args: Any, **named: Any
    ) -> None:
        """Write the masks first: a checkpoint never lacks them."""
        if self._callback.handle is not None:
            _Beside(path).write(held_set(self._callback.handle))
        self._inner.save_checkpoint(checkpoint, path, *args, **named)

    def load_checkpoint(self, path: Any, *args: Any, **named: Any) -> dict[str, Any]:
        """Put the masks back as soon as the checkpoint tells which."""
        checkpoint: dict[str, Any] = self._inner.load_checkpoint(path, *args, **named)
        self._callback.put_back(checkpoint, path)
        return checkpoint

    def remove_checkpoint(self, path: Any) -> None:
        """Remove both files."""
        self._inner.remove_checkpoint(path)
        _Beside(path).remove()

    def teardown(self) -> None:
        self._inner.teardown()


class _Beside:
    """The mask file of a checkpoint, local or not.

    >>> _Beside("run.3/last.ckpt").path
    'run.3/last.masks.safetensors'
    """

    def __init__(self, checkpoint: Any) -> None:
        self.path = f"{str(checkpoint).removesuffix('.ckpt')}.masks.safetensors"
        self._files = get_filesystem(self.path)

    def read(self) -> MaskSet | None:
        """Return its masks."""
        if not self._files.exists(self.path):
            return None
        with self._files.open(self.path, "rb") as file:
            return load(file.read())

    def write(self, masks: MaskSet) -> None:
        self._files.makedirs(self.path.rpartition("/")[0] or ".", exist_ok=True)
        with self._files.transaction, self._files.open(self.path, "wb") as file:
            file.write(masks.to_bytes())

    def remove(self) -> None:
        if self._files.exists(self.path):
            self._files.rm(self.path)
