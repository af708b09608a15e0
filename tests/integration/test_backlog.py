"""Jobs that wait in numbers; tests/bench/queue.py does it with 10,000."""

import time

from service.jobs import allotment
from tests.integration.backlog import Backlog
from tests.integration.stack import SETTINGS, Stack

JOBS, CANCELED = 130, 25


def test_waiting_jobs_cost_a_message_each_and_canceled_ones_none(idle_stack: Stack) -> None:
    idle_stack.broker.flush()
    backlog = Backlog(idle_stack, layers=1)
    before = backlog.messages()
    ids = backlog.submit(JOBS)
    time.sleep(2 * float(SETTINGS["RAIW_REPUBLISH_SECONDS"]))
    assert backlog.messages() - before == backlog.held() <= allotment.MOST
    backlog.cancel(ids[-CANCELED:])
    idle_stack.start_worker()
    assert backlog.drain(600) == 0
    backlog.wait_until_idle()
    sent = backlog.messages() - before
    assert JOBS - CANCELED <= sent <= 1.1 * (JOBS - CANCELED)
    for job_id in ids[:-CANCELED]:
        assert idle_stack.wait(job_id)["attempt"] == 1
    assert {idle_stack.job(job_id)["attempt"] for job_id in ids[-CANCELED:]} == {0}
