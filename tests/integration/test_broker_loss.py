"""The worker and its broker: one may die without the other."""

import time

from tests.integration.stack import Stack
from tests.integration.test_job_life import small


def test_a_worker_outlives_its_broker_ten_times(idle_stack: Stack) -> None:
    worker = idle_stack.start_worker()
    for away in range(10):
        idle_stack.broker.stop()
        time.sleep(0.3 * away)
        idle_stack.broker.start()
        job = idle_stack.submit(small()).json()
        assert idle_stack.wait(job["id"])["attempt"] == 1, worker
        assert worker.alive
