"""What holds for every test."""

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Many tests are small, and some run several processes: threads would mostly wait for each other.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# To import wandb is to change sys.stdout for good, and frameworks import it where it is installed.
# Tests of it run processes of their own.
sys.modules["wandb"] = None  # type: ignore[assignment]

# A limit of time for an example, or for drawing it, would test how busy the machine is.
settings.register_profile("raiw", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("raiw")


@pytest.fixture(autouse=True)
def _as_many_threads_as_before() -> Iterator[None]:
    """A test that leaves torch with more makes all after it many times slower."""
    before = threads()
    yield
    assert before is None or threads() == before


def threads() -> int | None:
    torch = sys.modules.get("torch")
    return torch and torch.get_num_threads()
