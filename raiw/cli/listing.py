"""``raiw networks``."""

import fnmatch
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from raiw.cli.examples import examples
from raiw.cli.options import (
    JsonOption,
    LocalOption,
    QuietOption,
    ServerOption,
    chosen_server,
    connect,
)
from raiw.cli.output import Output

commands = typer.Typer()


@commands.command(epilog=examples("raiw networks 'resnet*'", "raiw networks -q"))
def networks(
    pattern: Annotated[
        str, typer.Argument(metavar="GLOB", help="Only those of such a name, as in 'timm/resnet*'.")
    ] = "*",
    module: Annotated[
        list[str] | None,
        typer.Option(
            "--module",
            metavar="MODULE",
            help="A module of your own to import, whose networks are listed too; repeatable.",
        ),
    ] = None,
    server: ServerOption = None,
    *,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the networks that can be scored, pruned and trained, here or by a server's workers."""
    out = Output(json=json, quiet=quiet)
    url = chosen_server(server, local=local)
    faults: list[dict[str, str]] = []
    if url is not None:
        with connect(url) as client:
            found = [*client.networks()]
    else:
        found = [*_here(module or [], faults)]
    shown = [each for each in found if fnmatch.fnmatchcase(each["name"], pattern)]
    for fault in faults:
        out.note(f"no networks of {fault['name']}: {fault['detail']}")
    if out.json:
        out.document({"items": shown, "faults": faults})
    elif out.quiet:
        for each in shown:
            out.line(each["name"])
    else:
        from raiw.cli.tables import network_table

        out.tables(network_table(shown))


def _here(modules: list[str], faults: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
    from raiw.errors import RaiwError
    from raiw.nets.modules import below
    from raiw.nets.networks import FAMILIES, list_networks

    def on_fault(name: str, error: RaiwError) -> None:
        faults.append({"name": name, "code": error.code, "detail": error.message})

    with below(Path.cwd()):
        for network in list_networks([*modules, *FAMILIES], on_fault):
            yield network.to_json()
