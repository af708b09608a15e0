"""Checkpoints: a run between two epochs as one safetensors file, written as a whole or not at all.

Tensors ``model.<name>`` are the state dict, ``momentum.<name>`` the optimiser's; the metadata key
``raiw`` holds canonical JSON: format, key of the run, and what every epoch so far has measured.
Random numbers need no place: they are drawn from seed and epoch.
"""

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import SGD

from raiw.errors import InvalidInput, InvalidTensors, TooLarge
from raiw.tensors import MAX_HEADER_BYTES, from_metadata, header_end, read_header, to_metadata
from raiw.training.report import Epoch

FILE = "checkpoint.safetensors"
FORMAT = "raiw.checkpoint@1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run after its epochs in ``history``."""

    key: str
    """Names the run: network, masks, data, recipe and seed."""
    history: tuple[Epoch, ...]
    tensors: dict[str, Tensor]

    @classmethod
    def of(
        cls, key: str, history: tuple[Epoch, ...], model: nn.Module, optimizer: SGD
    ) -> "Checkpoint":
        """Take down a model and its optimiser."""
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for name, parameter in model.named_parameters():
            momentum = optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{name}"] = momentum
        # Tied weights share memory, which the file cannot express.
        copies = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        return cls(key, history, copies)

    def restore(self, model: nn.Module, optimizer: SGD) -> None:
        """Put a model and its optimiser into this state."""
        model.load_state_dict(self._below("model."))
        momenta = self._below("momentum.")
        for name, parameter in model.named_parameters():
            if name in momenta:
                optimizer.state[parameter]["momentum_buffer"] = momenta[name].to(parameter.device)

    def to_bytes(self) -> bytes:
        """Return the file."""
        epochs = [asdict(epoch) for epoch in self.history]
        document = {"format": FORMAT, "key": self.key, "history": epochs}
        return bytes(save(self.tensors, to_metadata(document)))

    def _below(self, prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def read_checkpoint(folder: Path, key: str) -> bytes | None:
    """Return the folder's checkpoint file, None if there is none yet.

    Raises
    ------
    InvalidInput
        It belongs to another run.
    InvalidTensors
        It is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    file = path.read_bytes()
    found = _document(path, file)
    if found.get("key") != key:
        raise InvalidInput(
            f"{str(path)!r} is the checkpoint of another run (other network, masks, data, recipe "
            f"or seed): choose another folder, or remove it"
        )
    return file


def parse_checkpoint(file: bytes) -> Checkpoint:
    """Return what :func:`read_checkpoint` has read."""
    document = _document(Path(FILE), file)
    history = tuple(Epoch(**epoch) for epoch in document["history"])
    return Checkpoint(document["key"], history, load(file))


def _document(path: Path, file: bytes) -> dict[str, Any]:
    with contextlib.suppress(InvalidTensors, TooLarge, KeyError, ValueError, TypeError):
        header = read_header(file[: header_end(file)], len(file), max_metadata=MAX_HEADER_BYTES)
        document = from_metadata(header.metadata)
        if document["format"] == FORMAT:
            return document
    raise InvalidTensors(
        f"{str(path)!r} is no checkpoint of this raiw ({FORMAT}), or a damaged one: remove it to "
        f"start from the beginning"
    )
