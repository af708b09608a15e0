"""What the tests of compact networks are given."""

import pytest

from tests.unit.compacting.small_networks import make_network


@pytest.fixture
def network():
    return make_network()
