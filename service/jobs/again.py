"""Asking for a job once more."""

import json
import zlib
from typing import Any

from service.contract.requests import REQUESTS, Request
from service.jobs.queries import get_job, open_request
from service.jobs.services import Services


def request_again(services: Services, job_id: str) -> dict[str, Any]:
    """Return the body of a request that asks for a job once more, without its deadline.

    Raises
    ------
    NotFound
        There is no such job.
    """
    job = get_job(services, job_id)
    asked: dict[str, Any] = json.loads(zlib.decompress(open_request(services, job_id)))
    body: dict[str, Any] = {"kind": job.kind}
    if job.kind == "craft":
        scores = {} if job.importance is None else {"importance": job.importance}
        body |= {"spec": asked} | scores
    else:
        body |= asked
    return body | ({"metadata": job.metadata} if job.metadata else {})


def parse(body: dict[str, Any]) -> Request:
    """Validate the body of a request.

    Raises
    ------
    InvalidSpec
        It is one that this server does not understand (any more).
    """
    return REQUESTS[body["kind"]].parse(body)
