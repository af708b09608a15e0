"""Channel probabilities of entropic regression as an importance: how they spread, and to what."""

import numpy as np
import pytest
import torch
from torch import nn

import raiw
from raiw.errors import InvalidInput
from raiw.specs.spec import Spec

pytestmark = pytest.mark.filterwarnings("ignore:.*says? nothing")  # of the depthwise layer


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=4),
        nn.ReLU(),
        nn.Conv2d(8, 8, 1, groups=8),
        nn.Flatten(),
        nn.Linear(32, 4),
    )


IMAGES = torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("spread", ["magnitude", "even"])
def test_every_group_shares_out_one_and_each_channel_its_probability(spread: str) -> None:
    scores = raiw.score(net(), [IMAGES], "entropic", spread=spread)
    even = raiw.score(net(), [IMAGES], "entropic", spread="even")
    for name, groups in {"0": 1, "2": 4, "4": 8, "6": 1}.items():
        by_group = scores[name].reshape(groups, -1, scores[name].shape[1])
        assert by_group.sum((1, 2)) == pytest.approx(np.ones(groups), rel=1e-5)
        assert scores[name].min() >= 0
        channels = even[name].reshape(by_group.shape).sum(1)
        assert by_group.sum(1) == pytest.approx(channels, rel=1e-5, abs=1e-9)
    for name in ("2", "4"):  # the first weights of a channel against its others
        weight = net()[int(name)].weight.detach().abs().flatten(2).sum(2).numpy()
        if spread == "magnitude" and name == "2":
            ratio = weight[0] / weight[1]
            assert scores[name][0] / scores[name][1] == pytest.approx(ratio, rel=1e-4)


def test_a_channel_that_nothing_is_read_from_has_no_probability() -> None:
    layer = nn.Linear(6, 3, bias=False)
    with torch.no_grad():
        layer.weight[:, 4] = 0
    inputs = torch.randn(200, 6, generator=torch.Generator().manual_seed(2))
    inputs[:, 1] = 0
    scores = raiw.score(layer, [inputs], "entropic")["weight"]
    assert (scores[:, [1, 4]] == 0).all()
    assert scores.sum() == pytest.approx(1)


def test_a_bias_takes_up_the_means() -> None:
    layer = nn.Linear(4, 2)
    inputs = torch.randn(50, 4, generator=torch.Generator().manual_seed(3))
    shifted = inputs + torch.tensor([5.0, -3.0, 0.0, 40.0])
    found = [raiw.score(layer, [x], "entropic")["weight"] for x in (inputs, shifted)]
    assert found[0] == pytest.approx(found[1], rel=1e-3, abs=1e-6)


def test_seed_and_positions_decide_what_is_drawn_and_nothing_else_does() -> None:
    first, again = (raiw.score(net(), [IMAGES], "entropic", seed=1) for _ in range(2))
    other = raiw.score(net(), [IMAGES], "entropic", seed=2)
    assert np.array_equal(first["0"], again["0"])
    assert not np.array_equal(first["0"], other["0"])
    assert np.array_equal(first["4"], other["4"])  # one channel a group: no choice
    assert first.provenance["samples"] == len(IMAGES)


def test_layers_that_cannot_be_regressed_are_named_and_count_alike() -> None:
    class Ragged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose1d(4, 2, 3)
            self.idle = nn.Linear(5, 3)
            self.last = nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.up(x))

    model, inputs = Ragged(), torch.randn(9, 4, 4)
    with pytest.warns(UserWarning, match="cannot regress 2 of 3 layers.*up, idle"):
        scores = raiw.score(model, [inputs], "entropic")
    assert scores["idle"].sum(0) == pytest.approx(np.full(5, 1 / 5))
    assert scores["up"].sum(0) == pytest.approx(np.full(4, 1 / 4))


def test_a_dead_layer_is_even_and_said_so() -> None:
    layer = nn.Linear(4, 2)
    nn.init.zeros_(layer.weight)
    with pytest.warns(UserWarning, match="all equal"):
        scores = raiw.score(layer, [torch.randn(5, 4)], "entropic")
    assert (scores["weight"] == 1 / 8).all()


def test_values_that_are_not_finite_are_refused() -> None:
    inputs = torch.full((5, 4), torch.inf)
    with pytest.raises(InvalidInput, match="not finite numbers"):
        raiw.score(nn.Linear(4, 2), [inputs], "entropic")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"l2": 0.0}, "l2 must be above 0"),
        ({"entropy": -1}, "entropy 0 or more"),
        ({"positions": 0}, "at least one position"),
        ({"l2": "much"}, "is a number"),
        ({"entropy": True}, "is a number"),
        ({"spread": "odd"}, "one of 'magnitude', 'even'"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        raiw.score(nn.Linear(4, 2), [torch.randn(5, 4)], "entropic", **options)


def test_it_is_crafted_with_and_combined() -> None:
    model = net()
    both = raiw.score(model, [IMAGES], "0.5*entropic + 0.5*magnitude", entropy=0.0)
    assert both.provenance["options"]["entropy"] == 0
    masks = raiw.craft(Spec.from_model(model, density=0.5), both)
    assert masks.importance is not None
