"""Checkpoints: a run between two epochs as one safetensors file, written whole or not at all.

Tensors ``model.<name>`` are the state dict, ``momentum.<name>`` the optimiser's; ``masks`` is the
mask file where the recipe changes masks. The metadata key ``raiw`` holds canonical JSON: format,
the run with its key, and the measurements of every epoch so far. Random states are not stored:
each epoch draws from the seed and its number.
"""

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import SGD

from raiw.canonical import canonical_json, digest_of_json
from raiw.errors import InvalidInput, InvalidTensors, TooLarge
from raiw.masks import MaskSet
from raiw.masks import load as load_masks
from raiw.names import clipped
from raiw.tensors import MAX_HEADER_BYTES, from_metadata, header_end, read_header, to_metadata
from raiw.training.report import Epoch

FILE = "checkpoint.safetensors"
FORMAT = "raiw.checkpoint@1"
_MASKS = "masks"

RunParts = dict[str, Any]
"""Everything that decides a run's numbers; its digest is the run's key."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run after the epochs in ``history``."""

    run: RunParts
    history: tuple[Epoch, ...]
    tensors: dict[str, Tensor]

    @classmethod
    def of(
        cls,
        run: RunParts,
        history: tuple[Epoch, ...],
        model: nn.Module,
        optimizer: SGD,
        masks: MaskSet | None,
    ) -> "Checkpoint":
        """Record a model, its optimiser and the masks that change."""
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for name, parameter in model.named_parameters():
            momentum = optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{name}"] = momentum
        if masks is not None:
            tensors[_MASKS] = torch.frombuffer(bytearray(masks.to_bytes()), dtype=torch.uint8)
        # Tied weights share memory, which the format cannot express.
        copies = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        return cls(run, history, copies)

    @property
    def masks(self) -> MaskSet | None:
        """The run's masks as they are now; None where they do not change."""
        file = self.tensors.get(_MASKS)
        return None if file is None else load_masks(file.numpy().tobytes())

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
        key = digest_of_json(self.run)
        document = {"format": FORMAT, "key": key, "run": self.run, "history": epochs}
        return bytes(save(self.tensors, to_metadata(document)))

    def _below(self, prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def read_checkpoint(folder: Path, run: RunParts) -> bytes | None:
    """Return the checkpoint in a folder, or None if there is none yet.

    Raises
    ------
    InvalidInput
        It belongs to another run; the message says what differs.
    InvalidTensors
        It is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    file = path.read_bytes()
    found = _document(path, file)
    if found.get("key") != digest_of_json(run):
        raise InvalidInput(
            f"{str(path)!r} is the checkpoint of another run ({_differences(found, run)}): choose "
            f"another folder, or remove it"
        )
    return file


def _differences(found: dict[str, Any], run: RunParts) -> str:
    """Say how the run of a checkpoint differs from this one."""
    other = found.get("run")
    if other is None:  # written by an older raiw
        return "other network, masks, data, recipe or seed"
    words = []
    for part in sorted({*run, *other}):
        theirs, ours = other.get(part), run.get(part)
        if isinstance(theirs, dict) and isinstance(ours, dict):
            words += [
                _difference(f"{part}.{field}", theirs.get(field), ours.get(field))
                for field in sorted({*theirs, *ours})
                if theirs.get(field) != ours.get(field)
            ]
        elif theirs != ours:
            words.append(_difference(part, theirs, ours))
    return "; ".join(words)


def _difference(part: str, theirs: Any, ours: Any) -> str:
    if part in _DIGESTS:
        return f"other {_DIGESTS[part]}"
    return f"{part} was {clipped(canonical_json(theirs))} and is {clipped(canonical_json(ours))}"


_DIGESTS = {
    "data": "data set",
    "masks": "masks",
    "start": "weights at the start, which network, seed and masks decide",
}
"""Names for the parts of a run that are stored as digests."""


def parse_checkpoint(file: bytes) -> Checkpoint:
    """Return what :func:`read_checkpoint` has read."""
    document = _document(Path(FILE), file)
    history = tuple(Epoch(**epoch) for epoch in document["history"])
    return Checkpoint(document.get("run", {}), history, load(file))


def _document(path: Path, file: bytes) -> dict[str, Any]:
    with contextlib.suppress(InvalidTensors, TooLarge, KeyError, ValueError, TypeError):
        header = read_header(file[: header_end(file)], len(file), max_metadata=MAX_HEADER_BYTES)
        document = from_metadata(header.metadata)
        if document["format"] == FORMAT:
            return document
    raise InvalidTensors(
        f"{str(path)!r} is not a checkpoint of this raiw ({FORMAT}), or is damaged: remove it to "
        f"start from the beginning"
    )
