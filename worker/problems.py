"""Problem documents of jobs that fail in a worker."""

from typing import Any

from raiw.errors import RaiwError


def problem_of(error: RaiwError) -> dict[str, Any]:
    """Return the problem document of an error raised on purpose."""
    problem = {"code": error.code, "title": error.title, "detail": error.message}
    return problem | ({"pointer": error.pointer} if error.pointer else {})


OUT_OF_MEMORY = {
    "code": "out-of-memory",
    "title": "The worker ran out of memory",
    "detail": "the job did not fit into the worker's memory: use a larger worker",
}
INTERNAL = {
    "code": "internal-error",
    "title": "The worker failed by a defect",
    "detail": "the worker's log holds the details under this job's id",
}
