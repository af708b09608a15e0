"""Importance by gradient (Eq. 10) of a small CNN trained on scikit-learn's handwritten digits."""

from pathlib import Path

import numpy as np

from raiw.errors import MissingExtra
from raiw.importance.reading import write_scores
from raiw.specs.spec import Spec

try:
    import torch
    from sklearn.datasets import load_digits
    from torch import nn
    from torch.nn import functional

    from raiw.importance.scoring import score
    from raiw.nets.small import digits_cnn
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

    The scores are those of :func:`raiw.score` by ``gradient`` (RAIW, Eq. 10) on the training
    images.
    """
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)  # one order of additions, so the file is the same each time
    images, labels = _digits()
    network = digits_cnn()
    _train(network, images[:-_TEST_IMAGES], labels[:-_TEST_IMAGES])
    with torch.no_grad():
        guesses = network.eval()(images[-_TEST_IMAGES:]).argmax(1)
    scores = score(network, "gradient", images[:-_TEST_IMAGES])
    write_scores(scores, spec, path)
    return float((guesses == labels[-_TEST_IMAGES:]).double().mean())


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    shaped = torch.tensor(images[order] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return shaped, torch.tensor(labels[order])


def _train(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(labels)).split(_BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
