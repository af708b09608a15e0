"""``raiw doctor``: whether this machine and its server can do what they are for."""

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from raiw.cli.examples import examples
from raiw.cli.exits import exit_status
from raiw.cli.options import JsonOption, QuietOption, ServerOption, chosen_server, connect
from raiw.cli.output import Output
from raiw.errors import DiskFull, InvalidInput, RaiwError, Unreachable

if TYPE_CHECKING:
    from raiw.client import Client

commands = typer.Typer()

_LEAST_FREE = 1 << 30
_CPU_FEATURES = ("avx2", "avx512f", "fma", "sse4_2", "asimd")
"""Of those that a processor has, what the kernels gain from."""
_SERVER_SECONDS = 10.0
_OF_EXTRA = re.compile(r'(?P<package>[\w.-]+).*extra == "(?P<extra>\w+)"')
"""A line of the installed package's requirements that belongs to an extra."""
_NOT_SHOWN = frozenset({"dev", "networks"})
"""Extras for people who work on raiw."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "missing", "WRONG"]
    """What is missing is optional."""
    detail: str
    error: RaiwError | None = None


@commands.command(epilog=examples("raiw doctor", "raiw doctor --json"))
def doctor(
    server: ServerOption = None,
    *,
    local: Annotated[bool, typer.Option("--local", help="Ask no server.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check this installation, and the server of --server or RAIW_URL; exit as the first fault.

    The token is never shown.
    """
    out = Output(json=json, quiet=quiet)
    url = chosen_server(server, local=local)
    findings = [*_installation(), *_extras(), *_folders(), *([] if url is None else _server(url))]
    wrong = [finding for finding in findings if finding.state == "WRONG"]
    if out.json:
        items = [{"name": f.name, "state": f.state, "detail": f.detail} for f in findings]
        out.document({"ok": not wrong, "items": items})
    else:
        from raiw.cli.table import Column, Table

        table = Table([Column("check"), Column("state"), Column("detail", prose=True)])
        for finding in wrong if out.quiet else findings:
            table.add(finding.name, finding.state, finding.detail)
        if table.rows:
            out.tables(table)
    if wrong:
        raise typer.Exit(exit_status(wrong[0].error or InvalidInput(wrong[0].detail)))


def _installation() -> Iterator[Diagnosis]:
    where = Path(__file__).parents[1]
    yield Diagnosis("raiw", "ok", f"{version('raiw')} in {where}")
    yield Diagnosis("python", "ok", f"{platform.python_version()}, {platform.platform()}")
    features = ", ".join(_cpu_features()) or "unknown"
    yield Diagnosis("processor", "ok", f"{os.cpu_count()} cores; {features}")
    try:
        from raiw.pipeline import craft

        layer = {"name": "fc", "kind": "linear", "in_features": 8, "out_features": 8}
        digest = craft({"layers": [layer], "craft": {"degree": 2}}).digest
    except RaiwError as error:
        yield Diagnosis("kernels", "WRONG", error.message, error)
    else:
        yield Diagnosis("kernels", "ok", f"compiled; a mask of 16 edges was crafted: {digest[:19]}")


def _cpu_features() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        return []
    words = set(text.split())
    return [feature for feature in _CPU_FEATURES if feature in words]


def _extras() -> Iterator[Diagnosis]:
    packages: dict[str, list[str]] = {}
    for line in requires("raiw") or ():
        if found := _OF_EXTRA.match(line):
            packages.setdefault(found["extra"], []).append(found["package"])
    for extra, needed in packages.items():
        if extra in _NOT_SHOWN:
            continue
        try:
            detail = ", ".join(f"{package} {version(package)}" for package in needed)
        except PackageNotFoundError as error:
            detail = f"no {error.name}: pip install 'raiw[{extra}]'"
            yield Diagnosis(f"raiw[{extra}]", "missing", detail)
        else:
            yield Diagnosis(f"raiw[{extra}]", "ok", detail)


def _folders() -> Iterator[Diagnosis]:
    from raiw.cli.caching import cache_folder

    for name, folder in (("folder", Path.cwd()), ("temporary", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        detail = f"{folder}: {free / (1 << 30):,.1f} GiB free"
        if free < _LEAST_FREE:
            error = DiskFull(f"{detail}; large masks need more")
            yield Diagnosis(name, "WRONG", error.message, error)
        else:
            yield Diagnosis(name, "ok", detail)
    yield Diagnosis("cache", "ok", str(cache_folder()))
    encoding = sys.stdout.encoding
    yield Diagnosis("terminal", "ok", f"{shutil.get_terminal_size().columns} columns, {encoding}")


def _server(url: str) -> Iterator[Diagnosis]:
    from raiw.client.tokens import token_source

    with connect(url, _SERVER_SECONDS) as client:
        try:
            health = client.health()
        except RaiwError as error:
            yield Diagnosis("server", "WRONG", error.message, error)
            return
        yield Diagnosis("server", "ok", f"{client.url} is ready")
        for name, state in health.get("checks", {}).items():
            fault = None if state == "ok" else Unreachable(f"{name}: {state}")
            yield Diagnosis(name, "WRONG" if fault else "ok", str(state), fault)
        source = token_source(client.url) or "none"
        try:
            caller = client.whoami()
            newest = _newest(client) if "jobs:read" in caller["scopes"] else "sees no jobs"
        except RaiwError as error:
            yield Diagnosis("token", "WRONG", f"{source}: {error.message}", error)
        else:
            yield Diagnosis("token", "ok", f"{source}; owner {caller['owner']}; {newest}")


def _newest(client: "Client") -> str:
    job = next(client.jobs(), None)
    return "no job yet" if job is None else f"the newest job {job.id} is {job.status}"
