"""The papers' networks: every count of weights that needs no training."""

import pytest

import raiw

ORIGINALS = {
    "alexnet-imagenet": 61_090_496,
    "densenet-bc-40-24-cifar100": 703_920,
    "densenet-bc-40-48-cifar100": 2_760_288,
    "densenet-bc-40-60-cifar100": 4_295_640,
    "densenet169-imagenet": 13_990_080,
    "densenet201-imagenet": 19_783_872,
    "lenet-mnist": 61_470,
    "resnet101-imagenet": 44_442_816,
    "resnet110-cifar100": 1_728_176,
    "resnet18-cifar10": 11_164_352,
    "resnet32-cifar100": 470_192,
    "resnet34-imagenet": 21_779_648,
    "resnet50-imagenet": 25_502_912,
    "resnet56-cifar100": 857_264,
    "vgg16-cifar10": 14_977_728,
}
PRESETS = {
    "raiw/densenet-bc-40-60-cifar100": (2_099_640, 2.10),
    "raiw/densenet169-imagenet": (8_323_264, 8.32),
    "raiw/densenet201-imagenet": (11_741_376, 11.74),
    "raiw/resnet101-imagenet": (21_077_184, 21.08),
    "raiw/resnet110-cifar100": (868_784, 0.87),
    "raiw/resnet50-imagenet": (13_278_400, 13.28),
    "raiw/vgg16-d16": (754_368, 0.75),
    "raiw/vgg16-d8": (546_496, 0.55),
}
UNPRINTED = {
    "raiw/densenet-bc-40-24-cifar100": 352_560,
    "raiw/densenet-bc-40-48-cifar100": 1_354_848,
    "raiw/resnet32-cifar100": 239_792,
    "raiw/resnet56-cifar100": 433_328,
}
"""Points of Figure 4 whose number of weights the text leaves out."""


@pytest.mark.parametrize(("name", "weights"), ORIGINALS.items())
def test_an_original_has_the_papers_weights(name: str, weights: int) -> None:
    plan = raiw.Spec.parse({"model": name, "craft": {"density": 1.0}}).plan()
    assert plan.weights == plan.dense_weights == weights


@pytest.mark.parametrize(("name", "counts"), PRESETS.items())
def test_a_preset_has_the_papers_weights(name: str, counts: tuple[int, float]) -> None:
    weights, printed = counts
    plan = raiw.Spec.load(name).plan()
    assert plan.weights == weights
    assert round(weights / 1e6, 2) == printed


@pytest.mark.parametrize(("name", "weights"), UNPRINTED.items())
def test_a_preset_of_figure_4_follows_the_rule_of_its_family(name: str, weights: int) -> None:
    """Block convolutions and those of dense layers keep half, inputs of transitions the growth."""
    plan = raiw.Spec.load(name).plan()
    growth = int(name.split("-")[3]) if "densenet" in name else None
    expected = 0
    for layer in plan.layers:
        edges = layer.shape[0] * layer.shape[1]
        if ".denselayer" in layer.name or (".conv" in layer.name and growth is None):
            edges //= 2
        elif ".transition" in layer.name:
            edges = layer.shape[1] * growth
        assert layer.edges == edges, layer.name
        expected += layer.weights
    assert plan.weights == expected == weights


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("alexnet-imagenet", 0.714),
        ("densenet169-imagenet", 3.360),
        ("densenet201-imagenet", 4.291),
        ("resnet34-imagenet", 3.664),
        ("resnet50-imagenet", 4.089),
        ("resnet101-imagenet", 7.801),
        ("vgg16-cifar10", 0.313),
    ],
)
def test_the_operations_of_a_network_at_its_own_input_size(name: str, billions: float) -> None:
    """As torchvision and others count them: multiply-adds of convolutions and linear layers."""
    plan = raiw.Spec.parse({"model": name, "craft": {"density": 1.0}}).plan()
    assert plan.flops == pytest.approx(2e9 * billions, abs=1e6)


def test_resnet50_degrees_are_half_the_bottleneck() -> None:
    plan = {layer.name: layer for layer in raiw.Spec.load("raiw/resnet50-imagenet").plan().layers}
    assert plan["layer3.2.conv1"].degree_range("in") == (128, 128)
    assert plan["layer3.2.conv3"].degree_range("out") == (32, 32)
    assert plan["layer3.0.downsample.0"].dense
    assert plan["fc"].dense


def test_resnet50_is_crafted_and_verified() -> None:
    masks = raiw.craft("raiw/resnet50-imagenet")
    assert masks.weights == 13_278_400
    assert raiw.verify(masks, "raiw/resnet50-imagenet").ok
