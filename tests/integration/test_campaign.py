"""A short campaign of kills on each deployment; tests/bench/campaign.py is the long one."""

import pytest

from tests.integration.campaign import Campaign
from tests.integration.stack import Stack


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_jobs_outlive_kills_of_every_process(kind: str) -> None:
    stack = Stack(kind)
    try:
        account = Campaign(stack, jobs=80, kills=8, per_second=8, seed=3).run()
    finally:
        stack.stop()
    assert account.lost == []
    assert account.doubled == []
    assert account.wrong == []
    assert account.stuck == []
    assert len(account.seconds) == account.jobs
