"""Problem documents of jobs that fail in a worker."""

import re
from typing import Any

from raiw.canonical import digest_of_hex
from raiw.errors import OutOfMemory
from service.contract.errors import InternalError
from service.contract.problems import problem_of
from service.settings import PREFIX, Settings


def out_of_memory(limit: int, setting: str) -> dict[str, Any]:
    """Return the problem document of a process that ran out of memory; 0 means no limit."""
    variable = PREFIX + setting.upper()
    most = f"the {limit} bytes that {variable} allows" if limit else "the memory of the worker"
    return problem_of(
        OutOfMemory(f"the job did not fit into {most}: use more memory or smaller layers")
    )


INTERNAL = problem_of(InternalError("the worker's log holds the details under this job's id"))


def without_paths(problem: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return a problem document that does not reveal where files are on this host.

    A stored file is named by its digest, a training file by its name, and one that operators put
    there by the setting of its folder.
    """
    artifacts = re.escape(str(settings.artifacts))
    stored = re.compile(rf"{artifacts}/sha256/../../([0-9a-f]{{64}})")
    detail = stored.sub(lambda found: digest_of_hex(found[1]), problem["detail"])
    detail = re.sub(rf"{artifacts}/runs/[0-9a-f]{{64}}/", "", detail)
    folders = {"DATA_DIR": settings.data, "ARTIFACT_DIR": settings.artifacts}
    for name, folder in (folders | {"STATE_DIR": settings.state_dir}).items():
        detail = detail.replace(str(folder), f"{PREFIX}{name}")
    return problem | {"detail": detail}
