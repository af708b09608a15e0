"""One thread, one seed, a plain and a masked network."""

import pytest
import torch

import raiw
from tests.integration.survival.network import MASKS, Net


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model():
    return Net()


@pytest.fixture
def masked(model):
    raiw.apply(model, MASKS)
    return model
