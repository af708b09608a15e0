"""Train a network from scratch with masks held."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from raiw.applying.apply import Handle, apply
from raiw.applying.counts import count
from raiw.canonical import canonical_json
from raiw.errors import InvalidInput
from raiw.files import write_atomically
from raiw.masks import MaskSet, load
from raiw.training.checkpoint import (
    FILE,
    Checkpoint,
    RunParts,
    parse_checkpoint,
    read_checkpoint,
)
from raiw.training.data.dataset import Dataset
from raiw.training.data.loaders import Loader, batch_size, loaded
from raiw.training.data.registry import open_dataset
from raiw.training.fit import check_fit
from raiw.training.initial import initialised
from raiw.training.loop import TrainingLoop
from raiw.training.mask_updates import MaskUpdates
from raiw.training.memory import memory_watched
from raiw.training.processes import Processes, joined
from raiw.training.recipe import MAX_SEED, REVISION, Recipe
from raiw.training.report import FILE as REPORT
from raiw.training.report import Epoch, Report

WEIGHTS = "weights.safetensors"
MASKS = "masks.safetensors"

OnEpoch = Callable[[Epoch, int], None]
"""Called after every epoch with what it measured and the number of all; in the first process."""
Ends = Callable[[tuple[Epoch, ...]], bool]
"""Whether a run of so many epochs ends early; decided by what they measured alone."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network and its account."""

    model: nn.Module
    report: Report
    masks: MaskSet | None
    """The masks it holds: where the recipe changes them, those at the end."""
    first: bool
    """Whether this is the first, or only, process."""

    def save(self, folder: str | Path) -> None:
        """Write ``weights.safetensors``, ``report.json`` and, if it changed, ``masks.safetensors``.

        Other processes than the first write nothing.

        Raises
        ------
        DiskFull
            There is no room.
        """
        if not self.first:
            return
        # Tied weights share memory, which the file cannot express.
        state = {name: value.cpu().clone() for name, value in self.model.state_dict().items()}
        write_atomically(Path(folder) / WEIGHTS, [save(state)])
        if self.masks is not None and self.report.recipe["dynamics"] is not None:
            self.masks.save(Path(folder) / MASKS)
        write_atomically(Path(folder) / REPORT, [canonical_json(self.report.to_json()).encode()])


@memory_watched()
def train(  # noqa: PLR0913 -- what decides a run
    network: str | nn.Module,
    masks: MaskSet | str | Path | None = None,
    data: Dataset | Loader | str = "digits",
    *,
    test: Loader | None = None,
    data_dir: str | Path = ".",
    recipe: Recipe | Mapping[str, Any] | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    device: str | None = None,
    on_epoch: OnEpoch | None = None,
    name: str | None = None,
    ends: Ends | None = None,
) -> Trained:
    """Train a network from scratch by a recipe, with masks held all along.

    On a CPU the same input gives the same numbers, whether or not the run was interrupted: in
    ``folder`` a checkpoint is replaced after every epoch, and a run that finds one goes on from it.
    Started by ``torchrun``, the processes share every batch, and only the first one writes.

    Parameters
    ----------
    network
        A name of :mod:`raiw.nets.networks`, drawn by ``seed`` and scaled to its masks
        (:func:`raiw.training.initial.initialised`); or a module, trained in place from the weights
        it has.
    masks
        Masks or their file; None trains the dense network. With ``dynamics`` in the recipe they
        change from there, or the network is pruned down to them.
    data
        A data set, or the name of one below ``data_dir``. Or batches ``(inputs, labels, …)`` of a
        ``DataLoader`` or list, shuffled, augmented and normalised as they are; ``batch`` and
        ``augment`` of the recipe are then theirs.
    test
        Such batches to test with; left out, those of ``data`` are tested too, as the report says.
    recipe
        Left out, that of Deep Expander Networks: 300 epochs of stochastic gradient descent.
    folder
        Where the checkpoint is kept; nothing is written without it.
    device
        Left out, a GPU if there is one, else the CPU.
    name
        What the report calls the network; left out, its name, or a module's class.
    ends
        Asked after every epoch whether the run ends there.

    Raises
    ------
    NotFound
        There is no such network, file or data set.
    InvalidData
        The data set is damaged, or does not fit the network.
    InvalidInput
        A mask does not fit, the device is unknown, the folder holds another run, the seed is out
        of range, or dynamics find nothing to change.
    InvalidSpec
        The recipe is wrong.
    TrainingFailed
        The loss is not a finite number (Diverged), or there is too little memory (OutOfMemory).
    DiskFull
        There is no room for the checkpoint. The last one is kept, here as in all other cases.

    Examples
    --------
    >>> trained = train("digits-cnn", recipe={"epochs": 1, "augment": False}, device="cpu")
    >>> trained.report.accuracy > 0.1, trained.report.weights
    (True, 40208)
    """
    if not 0 <= seed <= MAX_SEED:
        raise InvalidInput(f"seed is {seed}: give 0 to {MAX_SEED}")
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.parse(dict(recipe or {}))
    chosen = load(masks) if isinstance(masks, str | Path) else masks
    if recipe.dynamics is not None and chosen is None:
        raise InvalidInput("dynamics change masks, and there are none: give masks")
    model, own_name = _model(network, None if recipe.starts_dense else chosen, seed)
    name = name or own_name
    dataset, recipe = _data(data, test, data_dir, model, recipe)
    with joined(device) as processes:
        check_fit(model, name, dataset)
        model.to(processes.device)
        counts = count(model, chosen, dataset.shape)
        updates = handle = None
        if chosen is not None and recipe.dynamics is not None:
            updates = MaskUpdates(model, chosen, recipe.dynamics, seed)
            handle = updates.handle
        elif chosen is not None:
            handle = apply(model, chosen)
        loop = TrainingLoop(model, dataset, recipe, seed, processes, updates)
        run = _described(loop, chosen, dataset, recipe, seed)
        place = None if folder is None else Path(folder)
        history = _run(loop, recipe, run, place, processes, on_epoch, ends)
        if updates is not None:
            chosen = updates.masks
        facts = _facts(handle, dataset, processes)
        del loop  # what it wraps keeps threads of the processes alive
    report = Report(
        network=name,
        masks=None if chosen is None else chosen.digest,
        recipe=recipe.model_dump(mode="json"),
        seed=seed,
        accuracy=history[-1].test_accuracy,
        best_accuracy=max(epoch.test_accuracy for epoch in history),
        history=history,
        **asdict(counts),
        **facts,
    )
    return Trained(model.eval(), report, chosen, processes.first)


def _model(network: str | nn.Module, masks: MaskSet | None, seed: int) -> tuple[nn.Module, str]:
    if isinstance(network, nn.Module):
        return network, type(network).__name__
    return initialised(network, masks, seed), network


def _data(
    data: Dataset | Loader | str,
    test: Loader | None,
    data_dir: str | Path,
    model: nn.Module,
    recipe: Recipe,
) -> tuple[Dataset, Recipe]:
    """Return a data set, and the recipe without what the caller's own batches decide."""
    if isinstance(data, str | Dataset):
        return open_dataset(data, data_dir) if isinstance(data, str) else data, recipe
    dataset = loaded(data, test, model)
    return dataset, recipe.model_copy(update={"batch": batch_size(data), "augment": False})


def _run(
    loop: TrainingLoop,
    recipe: Recipe,
    run: RunParts,
    folder: Path | None,
    processes: Processes,
    on_epoch: OnEpoch | None,
    ends: Ends | None,
) -> tuple[Epoch, ...]:
    history = _resume(loop, run, folder, processes)
    updates = loop.updates
    while len(history) < recipe.epochs and not (history and ends and ends(history)):
        history = (*history, loop.run(len(history)))
        if not processes.first:
            continue
        if folder is not None:
            masks = None if updates is None else updates.masks
            state = Checkpoint.of(run, history, loop.model, loop.optimizer, masks)
            write_atomically(folder / FILE, [state.to_bytes()])
        if on_epoch is not None:
            on_epoch(history[-1], recipe.epochs)
    return history


def _resume(
    loop: TrainingLoop, run: RunParts, folder: Path | None, processes: Processes
) -> tuple[Epoch, ...]:
    if folder is None:
        return ()
    if processes.first:
        folder.mkdir(parents=True, exist_ok=True)
    file = processes.agree(read_checkpoint(folder, run) if processes.first else None)
    if file is None:
        return ()
    checkpoint = parse_checkpoint(file)
    if loop.updates is not None and checkpoint.masks is not None:
        loop.updates.resume(checkpoint.masks)
    checkpoint.restore(loop.model, loop.optimizer)
    return checkpoint.history


def _described(
    loop: TrainingLoop, masks: MaskSet | None, dataset: Dataset, recipe: Recipe, seed: int
) -> RunParts:
    """Return all that decides a run's numbers."""
    start = hashlib.sha256()
    for name, tensor in loop.model.state_dict().items():
        start.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        start.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    updated = {} if loop.updates is None else {"dynamics": loop.updates.key}
    return {
        "revision": REVISION,
        "start": start.hexdigest(),
        "masks": masks and masks.digest,
        "data": dataset.digest,
        "recipe": recipe.keyed(),
        "seed": seed,
        **updated,
    }


def _facts(handle: Handle | None, dataset: Dataset, processes: Processes) -> dict[str, Any]:
    revived = {} if handle is None else handle.revived()
    return {
        "dataset": dataset.name,
        "dataset_digest": dataset.digest,
        "mask_violations": sum(count for count, _ in revived.values()),
        "device": _device_name(processes.device),
        "processes": processes.count,
        "threads": torch.get_num_threads(),
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
