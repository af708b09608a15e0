"""What tests of compact networks are made of."""

import copy

import torch
from torch import nn

import raiw


def conv(name, n_in, n_out, kernel=3):
    sides = {"in_channels": n_in, "out_channels": n_out, "kernel_size": kernel}
    return {"name": name, "kind": "conv2d", **sides}


def linear(name, n_in, n_out):
    return {"name": name, "kind": "linear", "in_features": n_in, "out_features": n_out}


def craft(*layers, **how):
    return raiw.craft({"layers": list(layers), "craft": {"density": 0.25} | how})


def assert_near(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


MASKS = craft(conv("0", 8, 16), conv("4", 16, 24), linear("9", 216, 32), group_outputs=8)


def make_network():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3, bias=False),
        nn.Identity(),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(216, 32),
        nn.ReLU(),
    )
    norm = network[1]
    with torch.no_grad():  # a norm that does something, and turns signs round
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(torch.randn(16))
        norm.running_var.copy_(torch.rand(16) + 0.5)
    return network


INPUTS = torch.randn(5, 8, 16, 16, generator=torch.Generator().manual_seed(1))


def masked(network):
    """A copy of the network with its pruned weights zero."""
    twin = copy.deepcopy(network)
    raiw.apply(twin, MASKS)
    return twin
