"""2:4 masks as torch's semi-structured tensors."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.sparse._semi_structured_conversions import (
    sparse_semi_structured_from_dense_cutlass,
    sparse_semi_structured_to_dense_cutlass,
)

import raiw
from raiw.compacting.semi_structured import is_two_of_four, semi_structured
from raiw.errors import InvalidInput

LAYERS = [
    {"name": "0", "kind": "linear", "in_features": 128, "out_features": 64},
    {"name": "2", "kind": "linear", "in_features": 64, "out_features": 10},
]
CRAFT = {"algorithm": "nm", "n": 2, "m": 4, "rules": [{"match": "2", "dense": True}]}
MASKS = raiw.craft({"layers": LAYERS, "craft": CRAFT})


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


def test_crafted_masks_survive_the_layout_of_torch() -> None:
    """Two values and their places of every four: torch's own conversion loses no weight."""
    kept = MASKS["0"].numpy()
    assert is_two_of_four(kept)
    weight = torch.randn(64, 128).half() * torch.from_numpy(kept)
    values, places = sparse_semi_structured_from_dense_cutlass(weight)
    assert values.shape == (64, 64)
    assert torch.equal(sparse_semi_structured_to_dense_cutlass(values, places), weight)


@pytest.mark.parametrize(
    "kept",
    [
        np.tile([True, True, True, False], (32, 16)),
        np.tile([True, False, True, False], (31, 16)),
        np.tile([True, False, True, False], (32, 15)),
    ],
)
def test_other_masks_and_sides_do_not_fit(kept: np.ndarray) -> None:
    assert not is_two_of_four(kept)


def test_without_a_gpu_it_is_said_that_one_is_needed() -> None:
    with pytest.raises(InvalidInput, match="layer '0' is on cpu: torch multiplies"):
        semi_structured(network().half(), MASKS)
    loose = raiw.craft({"layers": LAYERS, "craft": {"density": 0.6}})
    with pytest.raises(InvalidInput, match="no masked layer can hold a semi-structured weight"):
        semi_structured(network(), loose)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_computes_what_the_masked_network_does() -> None:
    with pytest.raises(InvalidInput, match="semi-structured ones are float16"):
        semi_structured(network().cuda(), MASKS)
    dense = network().half().cuda()
    small, inputs = semi_structured(dense, MASKS), torch.randn(64, 128).half().cuda()
    raiw.apply(dense, MASKS)
    torch.testing.assert_close(small(inputs), dense(inputs), rtol=1e-2, atol=1e-2)
