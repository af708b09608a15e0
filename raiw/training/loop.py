"""Epochs of training and testing, by one process or several."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD

from raiw.errors import Diverged, InvalidData, InvalidInput
from raiw.pruning.criteria.slimming import penalty
from raiw.training.data.ahead import ahead
from raiw.training.data.batches import batches
from raiw.training.data.dataset import Dataset
from raiw.training.mask_updates import MaskUpdates
from raiw.training.processes import Processes
from raiw.training.recipe import Recipe
from raiw.training.report import Epoch
from raiw.training.testing import outputs_of, tally

_CHECKED_STEPS = 50
"""The loss is looked at so often: each look waits for the GPU."""
_PREPARED_BATCHES = 4
"""A GPU must not wait for images to be decoded and cropped."""
_FEWEST_IMAGES = 2
"""Batch normalisation needs two images in each process; a smaller rest of an epoch is left out."""


class TrainingLoop:
    """A model in training: what one epoch does to it.

    Every random draw comes from seed and epoch, so that an epoch is the same whether or not the run
    was interrupted before it.

    Raises
    ------
    InvalidData, InvalidInput
        The training images, or those of a batch, are too few for so many processes.
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        seed: int,
        processes: Processes,
        updates: MaskUpdates | None = None,
    ) -> None:
        _check_counts(len(dataset.train.labels), recipe.batch, processes.count)
        self.model = model
        self.optimizer = SGD(
            model.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.momentum > 0,
        )
        self._wrapped = processes.wrap(model)
        self._dataset = dataset
        self._recipe = recipe
        self._seed = seed
        self._processes = processes
        self._part = (processes.rank, processes.count)
        self._half = recipe.precision == "bfloat16"
        self.updates = updates
        if updates is not None:
            updates.require_some(self._steps * recipe.epochs)

    def run(self, epoch: int) -> Epoch:
        """Train one epoch, counted from 0, and test the model.

        Raises
        ------
        Diverged
            The loss is not a finite number.
        """
        rate = self._recipe.learning_rate_at(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(_mixed(self._seed, epoch, self._processes.rank))
        train_loss = self._train(epoch)
        test_loss, accuracy = self._test()
        self._check(test_loss, epoch)
        weights = None if self.updates is None else self.updates.masks.weights
        return Epoch(epoch + 1, rate, train_loss, test_loss, accuracy, weights)

    def _train(self, epoch: int) -> float:
        self._wrapped.train()
        total = torch.zeros(2, dtype=torch.float64, device=self._processes.device)
        for step, (images, labels, count) in enumerate(self._shares(epoch), 1):
            if self._updated(epoch * self._steps + step - 1, images, labels, count):
                continue
            outputs = outputs_of(self._wrapped, images, half=self._half)
            loss = functional.cross_entropy(outputs, labels, reduction="sum")
            total += torch.stack([loss.detach().double(), loss.new_tensor(len(labels))])
            # Gradients are averaged over the processes; this makes them those of the whole batch.
            objective = loss * (self._processes.count / count)
            if self._recipe.slimming:
                objective = objective + penalty(self.model, self._recipe.slimming)
            self.optimizer.zero_grad(set_to_none=True)
            objective.backward()  # type: ignore[no-untyped-call]  # torch has no types there
            self.optimizer.step()
            if step % _CHECKED_STEPS == 0:
                self._check(float(total[0]), epoch)
        loss_sum, count = self._processes.total(total).tolist()
        self._check(loss_sum, epoch)
        return float(loss_sum / max(count, 1))

    def _updated(self, step: int, images: Tensor, labels: Tensor, count: int) -> bool:
        """Change the masks if it is time; return whether that takes the place of the step."""
        if self.updates is None:
            return False

        def gradients(weights: list[nn.Parameter]) -> list[Tensor]:
            outputs = outputs_of(self.model, images, half=self._half)
            loss = functional.cross_entropy(outputs, labels, reduction="sum") / count
            own = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
            return [self._processes.total(gradient.contiguous()) for gradient in own]

        steps = self._steps * self._recipe.epochs
        return self.updates.take(step, steps, self.optimizer, self._processes, gradients)

    @property
    def _steps(self) -> int:
        """Steps of an epoch."""
        whole, rest = divmod(len(self._dataset.train.labels), self._recipe.batch)
        return whole + (rest >= _FEWEST_IMAGES * self._processes.count)

    def _test(self) -> tuple[float, float]:
        """Return the mean loss and the accuracy over the test images."""
        counted = tally(
            self.model.eval(),
            self._dataset,
            self._recipe.batch,
            part=self._part,
            device=self._processes.device,
            half=self._half,
        )
        loss, right, count = self._processes.total(counted).tolist()
        return loss / count, right / count

    def _shares(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Yield this process's images and labels of each batch, and the size of the whole batch."""
        left = len(self._dataset.train.labels)
        size, (_, ranks) = self._recipe.batch, self._part
        prepared = batches(
            self._dataset,
            size,
            seed=self._seed,
            epoch=epoch,
            augment=self._recipe.augment,
            part=self._part,
        )
        if self._processes.device.type == "cuda":
            prepared = ahead(prepared, _PREPARED_BATCHES)
        for images, labels in prepared:
            whole, left = min(size, left), left - size
            if ranks == 1:  # batches of the caller's own have the size they have
                whole = len(labels)
            if whole >= _FEWEST_IMAGES * ranks:
                yield self._move(images), self._move(labels), whole

    def _move(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._processes.device, non_blocking=True)

    def _check(self, loss: float, epoch: int) -> None:
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss of epoch {epoch + 1} is {loss}: lower learning_rate "
                f"(it was {self._recipe.learning_rate_at(epoch):g}), or look for NaN in the data"
            )


def _check_counts(images: int, batch: int, processes: int) -> None:
    """Make sure that every epoch has a step."""
    fewest = _FEWEST_IMAGES * processes
    each = f"each of {processes} processes needs {_FEWEST_IMAGES} of a batch"
    if images < fewest:
        raise InvalidData(f"there are {images} training images; {each}: give {fewest} or more")
    if batch < fewest:
        raise InvalidInput(f"batch is {batch}; {each}: give {fewest} or more")


def _mixed(*numbers: int) -> int:
    """Return one seed for several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
