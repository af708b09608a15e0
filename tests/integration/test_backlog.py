"""Jobs that wait in numbers; tests/bench/queue.py does it with 10,000."""

import time

from service.jobs.janitor import WINDOW
from tests.integration.backlog import Backlog, wait_until_idle
from tests.integration.stack import SETTINGS, Stack

JOBS, CANCELED = 150, 30


def test_waiting_jobs_cost_a_message_each_and_canceled_ones_none(idle_stack: Stack) -> None:
    idle_stack.start_worker()
    backlog = Backlog(idle_stack, layers=2)
    wait_until_idle(backlog)
    idle_stack.stop_workers()
    before = backlog.messages()
    ids = backlog.submit(JOBS)
    time.sleep(2 * float(SETTINGS["RAIW_REPUBLISH_SECONDS"]))
    assert backlog.messages() - before == backlog.held() <= WINDOW
    backlog.ids = ids[-CANCELED:]
    backlog.cancel()
    idle_stack.start_worker()
    assert backlog.drain(120) == 0
    wait_until_idle(backlog)
    sent = backlog.messages() - before
    assert JOBS - CANCELED <= sent <= 1.1 * (JOBS - CANCELED)
    for job_id in ids[:-CANCELED]:
        assert idle_stack.wait(job_id)["attempt"] == 1
    assert {idle_stack.job(job_id)["attempt"] for job_id in backlog.ids} == {0}
