"""Networks that searches of tests train in a moment."""

from torch import nn


def net(width: int = 8, algorithm: int = 1) -> nn.Module:
    """Return a network whose layers can lose channels, with arguments called as others are."""
    hidden = [nn.Linear(width, width) for _ in range(algorithm - 1)]
    layers = [nn.Linear(64, width), nn.ReLU(), *hidden, nn.Linear(width, 10)]
    return nn.Sequential(nn.Flatten(), *layers)


def line() -> nn.Module:
    """Return one layer, which has no channels to lose."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


net.input_shape = line.input_shape = (1, 8, 8)
