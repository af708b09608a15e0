"""Networks as torch modules have the layers of their YAML files."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

import raiw
from raiw import catalogue
from raiw.errors import NotFound
from raiw.nets.registry import NETS, build

CLASSES = {"cifar10": 10, "cifar100": 100, "digits": 10, "imagenet": 1000, "mnist": 10}
# Every parameter, biases and batch normalisation included, as torchvision documents them.
TORCHVISION = {
    "alexnet-imagenet": 61_100_840,
    "densenet169-imagenet": 14_149_480,
    "densenet201-imagenet": 20_013_928,
    "resnet34-imagenet": 21_797_672,
    "resnet50-imagenet": 25_557_032,
    "resnet101-imagenet": 44_549_160,
}


def shape_of(name: str) -> nn.Module:
    """Return a network that has shapes but no memory, so that all of them cost a second."""
    with torch.device("meta"):
        return build(name).eval()


def listed(name: str) -> raiw.Spec:
    return raiw.Spec.parse({"model": name, "craft": {"density": 1.0}})


def test_every_network_of_the_catalogue_can_be_built_but_the_transformer() -> None:
    networks = {name for name in catalogue.names() if "/" not in name}
    assert networks - NETS.keys() == {"llama3-8b"}


@pytest.mark.parametrize("name", NETS)
def test_a_network_has_the_layers_and_weights_of_the_catalogue(name: str) -> None:
    """The catalogue's own counts stand in ``tests/golden/test_networks.py``."""
    net, spec = shape_of(name), listed(name)
    assert [
        (layer.name, layer.kind, layer.groups, layer.weight_shape)
        for layer in raiw.Spec.from_model(net).layers
    ] == [(layer.name, layer.kind, layer.groups, layer.weight_shape) for layer in spec.layers]
    assert spec.plan().dense_weights == sum(
        module.weight.numel()
        for module in net.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    )


@pytest.mark.parametrize(("name", "parameters"), TORCHVISION.items())
def test_all_parameters_are_those_of_torchvision(name: str, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in shape_of(name).parameters()) == parameters


@pytest.mark.parametrize("name", NETS)
def test_the_catalogue_counts_the_positions_of_every_layer(name: str) -> None:
    net, found = shape_of(name), {}

    def watch(layer: str) -> Callable[..., None]:
        def note(_: object, __: object, output: torch.Tensor) -> None:
            found[layer] = output[0, 0].numel()

        return note

    for layer, module in net.named_modules():
        module.register_forward_hook(watch(layer))
    outputs = net(torch.zeros(2, *NETS[name].input_shape, device="meta"))
    (classes,) = [CLASSES[part] for part in name.split("-") if part in CLASSES]
    assert outputs.shape == (2, classes)
    layers = listed(name).layers
    assert {layer.name: layer.positions for layer in layers} == {
        layer.name: found[layer.name] for layer in layers
    }


@pytest.mark.parametrize(
    "name",
    ["densenet-bc-40-24-cifar100", "resnet18-cifar10", "resnet32-cifar100", "resnet34-imagenet"],
)
def test_a_seed_gives_one_network_which_computes_and_learns(name: str) -> None:
    nets = []
    for _ in range(2):
        torch.manual_seed(5)
        nets.append(build(name))
    images = torch.randn(2, *NETS[name].input_shape)
    first, second = (net(images) for net in nets)
    assert torch.equal(first, second)
    assert first.isfinite().all()
    first.square().sum().backward()
    assert all(parameter.grad is not None for parameter in nets[0].parameters())


@pytest.mark.parametrize("name", ["densenet-bc-40-60-cifar100", "resnet18-cifar10"])
def test_convolutions_begin_with_the_variance_of_kaiming(name: str) -> None:
    """He et al. 2015, Eq. 14: a variance of two over the weights of an input channel."""
    torch.manual_seed(0)
    for module in build(name).modules():
        if isinstance(module, nn.Conv2d):
            weights = module.weight.detach()
            fan_out = weights.shape[0] * weights[0, 0].numel()
            # The standard error of the ratio is sqrt(2/n); four of them are allowed.
            assert weights.var().item() * fan_out / 2 == pytest.approx(
                1, abs=4 * (2 / weights.numel()) ** 0.5
            )


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(NotFound, match="did you mean 'lenet-mnist'"):
        build("lenet-minst")
