"""Networks as torch modules have the layers of their YAML files."""

from collections.abc import Callable

import pytest
import torch

import raiw
from raiw.errors import NotFound
from raiw.nets.registry import NETS, build


@pytest.mark.parametrize("name", NETS)
def test_a_network_has_the_layers_of_the_catalogue(name: str) -> None:
    net = build(name)
    listed = raiw.Spec.parse({"model": name, "craft": {"density": 1.0}})
    assert [(y.name, y.weight_shape) for y in raiw.Spec.from_model(net).layers] == [
        (y.name, y.weight_shape) for y in listed.layers
    ]
    with torch.no_grad():
        assert net.eval()(torch.zeros(2, *NETS[name].input_shape)).shape == (2, 10)


@pytest.mark.parametrize("name", NETS)
def test_the_catalogue_counts_the_positions_of_every_layer(name: str) -> None:
    net, found = build(name).eval(), {}

    def watch(layer: str) -> Callable[..., None]:
        def note(_: object, __: object, output: torch.Tensor) -> None:
            found[layer] = output[0, 0].numel()

        return note

    for layer, module in net.named_modules():
        module.register_forward_hook(watch(layer))
    with torch.no_grad():
        net(torch.zeros(1, *NETS[name].input_shape))
    listed = raiw.Spec.parse({"model": name, "craft": {"density": 1.0}}).layers
    assert {y.name: y.positions for y in listed if y.kind != "linear"} == {
        y.name: found[y.name] for y in listed if y.kind != "linear"
    }


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(NotFound, match="did you mean 'lenet-mnist'"):
        build("lenet-minst")
