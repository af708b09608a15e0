"""The same from a shell: the commands that do what a page shows."""

import json
from dataclasses import dataclass
from shlex import quote
from typing import Any

from starlette.requests import Request

from raiw import catalogue
from raiw.errors import RaiwError
from raiw.specs.spec import Spec
from service.contract.jobs import JobSummary
from service.settings import Settings

_SHORT = 1500
"""Characters of a request that stands in a command; a longer one is a file to download."""


@dataclass(frozen=True, slots=True)
class Command:
    """Lines to copy."""

    program: str
    text: str
    needs: tuple[tuple[str, str], ...] = ()
    """Files to download beforehand: name and address."""


def commands(request: Request, job: JobSummary, body: dict[str, Any]) -> list[Command]:
    """Return the commands that ask for a job again, follow it and fetch its result."""
    server = origin(request)
    return [*_raiw(server, job, body), _curl(request, server, job, body)]


def origin(request: Request) -> str:
    """Return the address of this server as its visitor writes it."""
    return str(request.base_url).rstrip("/")


def _raiw(server: str, job: JobSummary, body: dict[str, Any]) -> list[Command]:
    at = f"--server {quote(server)}"
    lines, needs = [], []
    if job.kind == "craft":
        preset = _preset(body["spec"])
        if preset is None:
            needs.append(("spec.yaml", f"/jobs/{job.id}/spec.yaml"))
        scores = ""
        if job.importance is not None:
            needs.append(("scores.safetensors", f"/v1/blobs/{job.importance}"))
            scores = " -i scores.safetensors"
        lines.append(f"raiw craft {preset or 'spec.yaml'}{scores} {at} -o masks.safetensors")
    lines.append(f"raiw jobs watch {job.id} {at}")
    if job.result is not None:
        name = "masks" if job.kind == "craft" else "result"
        lines.append(f"raiw pull {job.id} {at} -o {name}.safetensors")
    return [Command("raiw", "\n".join(lines), tuple(needs))]


def _curl(request: Request, server: str, job: JobSummary, body: dict[str, Any]) -> Command:
    settings: Settings = request.app.state.api.state.settings
    token = ' -H "Authorization: Bearer $RAIW_TOKEN"' if not settings.keyless else ""
    jobs = quote(f"{server}/v1/jobs")
    text = json.dumps(body, ensure_ascii=False)
    needs: tuple[tuple[str, str], ...] = ()
    if len(text) <= _SHORT:
        lines = [f"curl --json @-{token} {jobs} <<'END'", text, "END"]
    else:
        lines = [f"curl --json @request.json{token} {jobs}"]
        needs = (("request.json", f"/jobs/{job.id}/request.json"),)
    lines.append(f"curl -N -H 'Accept: text/event-stream'{token} {quote(server + job.urls.events)}")
    if job.result is not None and job.urls.result is not None:
        end = "/file" if job.kind == "craft" else ""
        lines.append(f"curl -OJ{token} {quote(server + job.urls.result + end)}")
    return Command("curl", "\n".join(lines), needs)


def _preset(spec: dict[str, Any]) -> str | None:
    """Return the name in the catalogue that stands for a whole spec."""
    for name in {spec.get("name"), spec.get("model")} & {*catalogue.names()}:
        try:
            known = Spec.parse({"model": name}).canonical()
        except RaiwError:  # a network without a target
            continue
        if known == spec:
            return str(name)
    return None
