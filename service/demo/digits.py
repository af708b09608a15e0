"""Importance by gradient (Eq. 10) of a small CNN trained on scikit-learn's handwritten digits."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from raiw.errors import MissingExtra
from raiw.importance.reading import write_scores
from raiw.specs.spec import Spec

try:
    import torch
    from sklearn.datasets import load_digits
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise MissingExtra(
        f"training the demo's network needs PyTorch and scikit-learn ({error}): "
        f"pip install 'raiw[torch]' scikit-learn"
    ) from None

_EPOCHS = 12
_BATCH = 64
_TEST_IMAGES = 360


def make_scores(path: Path, spec: Spec) -> float:
    """Train the network, write the scores of its layers to ``path``; return the test accuracy.

    The score of an edge is the mean over the training images of the gradient of the summed
    outputs, its absolute value, summed over the kernel:
    ``sum_taps |1/M sum_i d(sum N(x_i)) / d theta|`` (RAIW, Eq. 10).
    """
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)  # one order of additions, so the file is the same each time
    images, labels = _digits()
    network = _network()
    _train(network, images[:-_TEST_IMAGES], labels[:-_TEST_IMAGES])
    with torch.no_grad():
        guesses = network.eval()(images[-_TEST_IMAGES:]).argmax(1)
    scores = _gradient_scores(network, images[:-_TEST_IMAGES])
    write_scores({layer.name: scores[layer.name] for layer in spec.layers}, spec, path)
    return float((guesses == labels[-_TEST_IMAGES:]).double().mean())


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    shaped = torch.tensor(images[order] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return shaped, torch.tensor(labels[order])


def _network() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(16, 32, 3, padding=1),
            relu2=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv3=nn.Conv2d(32, 64, 3, padding=1),
            relu3=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc=nn.Linear(256, 64),
            relu4=nn.ReLU(),
            head=nn.Linear(64, 10),
        )
    )


def _train(network: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(labels)).split(_BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()


def _gradient_scores(
    network: nn.Sequential, images: torch.Tensor
) -> dict[str, npt.NDArray[np.float32]]:
    network.zero_grad()
    network(images).sum().backward()
    scores = {}
    for name, module in network.named_children():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.grad is not None:
            mean = (module.weight.grad / len(images)).abs()
            scores[name] = mean.flatten(2).sum(2).numpy() if mean.dim() > 2 else mean.numpy()  # noqa: PLR2004
    return scores
