"""The network of these tests, its masks, and what is counted on it."""

import torch
from torch import nn

import raiw

LAYERS = [
    {"name": "conv", "kind": "conv2d", "in_channels": 4, "out_channels": 12, "kernel_size": 3},
    {"name": "grouped", "kind": "conv2d", "in_channels": 12, "out_channels": 8, "kernel_size": 3},
    {"name": "up", "kind": "conv_transpose2d", "in_channels": 8, "out_channels": 6},
    {"name": "fc", "kind": "linear", "in_features": 6 * 36, "out_features": 10},
]
LAYERS[1]["groups"] = LAYERS[2]["groups"] = 2
LAYERS[2]["kernel_size"] = 3
MASKS = raiw.craft({"layers": LAYERS, "craft": {"degree": 2}})


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.grouped = nn.Conv2d(12, 8, 3, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(8, 6, 3, groups=2)
        self.fc = nn.Linear(6 * 36, 10)
        self.head = nn.Linear(10, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.grouped(torch.tanh(self.norm(self.conv(x)))))
        return self.head(torch.tanh(self.fc(self.up(x).flatten(1))))


def batch(dtype=torch.float32):
    return torch.randn(8, 4, 4, 4, dtype=dtype), torch.randint(3, (8,))


def backward(model, *, dtype=torch.float32):
    x, y = batch(dtype)
    loss = nn.functional.cross_entropy(model(x).float(), y)
    loss.backward()
    return loss


def train(model, optimizer, steps=3, **how):
    for _ in range(steps):
        optimizer.zero_grad()
        backward(model, **how)
        optimizer.step()


def pruned(name, weight):
    """Return the pruned elements of a weight, told from the mask's own edges."""
    kept = torch.from_numpy(MASKS[name].for_weight())
    return weight[~kept.expand_as(weight)]


def revived(model):
    return sum(int(pruned(name, getattr(model, name).weight).count_nonzero()) for name in MASKS)


def loose_gradients(model):
    """Count gradients of pruned weights; every layer must have gradients of kept ones."""
    gradients = {name: getattr(model, name).weight.grad for name in MASKS}
    assert all(gradient.count_nonzero() for gradient in gradients.values())
    return sum(int(pruned(name, gradient).count_nonzero()) for name, gradient in gradients.items())


def adamw(model, **options):
    return torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1, **options)
