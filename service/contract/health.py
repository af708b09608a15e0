"""Health as the operator sees it."""

from typing import Literal

from service.contract.jobs import View


class Liveness(View):
    """The process serves."""

    status: Literal["ok"] = "ok"


class Checks(View):
    """``ok``, or what is wrong, for each thing that the service needs."""

    database: str
    artifacts: str
    broker: str
    """Only reported: without it, jobs are accepted and wait."""


class Readiness(View):
    """Whether requests can be served."""

    status: Literal["ok", "unavailable"]
    checks: Checks
