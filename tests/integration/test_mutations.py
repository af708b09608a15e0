"""Mutated requests and files: the short form of the campaign in ``tests/bench/mutations.py``."""

from tests.bench.mutations import run
from tests.integration.stack import Stack


def test_no_mutation_breaks_or_hangs_the_service(stack: Stack) -> None:
    trial = run(stack.url, requests=250, uploads=40, seed=7)
    assert trial.bad == []
    for wanted in ("/v1/plan 200", "/v1/jobs 202", "upload 201", "upload 422", "job succeeded"):
        assert trial.counts[wanted], trial.counts
