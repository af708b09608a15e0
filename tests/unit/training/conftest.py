"""What several tests of training share."""

import pytest

import raiw
from tests.unit.training.short_runs import SPEC


@pytest.fixture(scope="session")
def masks() -> raiw.MaskSet:
    return raiw.craft(SPEC)
