"""Small networks of every structure, each taken through the whole library."""

import pytest

from tests.networks import of_torch
from tests.networks.trial import Trial

COVERED = {"standardised-cnn": 0.8, "spectral-discriminator": 0.8, "weight-norm-tcn": 0.98}
"""The share of the weights that masks are for, where some weights cannot have one."""


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("network", list(of_torch.networks()), ids=lambda one: one.name)
def test_a_network_goes_through_every_step(network) -> None:
    outcome = Trial(network).run()
    assert not outcome.failed, outcome.notes
    assert outcome.steps["load"] == "ok"
    assert outcome.covered >= COVERED.get(network.name, 1)
