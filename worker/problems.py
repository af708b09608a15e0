"""Problem documents of jobs that fail in a worker without an error of their own."""

from raiw.errors import OutOfMemory
from service.contract.errors import InternalError
from service.contract.problems import problem_of

OUT_OF_MEMORY = problem_of(
    OutOfMemory("the job did not fit into the worker's memory: use a larger worker")
)
INTERNAL = problem_of(InternalError("the worker's log holds the details under this job's id"))
