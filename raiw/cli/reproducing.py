"""``raiw reproduce``."""

from pathlib import Path
from typing import Annotated

import typer

from raiw.cli.doing import JobSite, do
from raiw.cli.examples import examples
from raiw.cli.options import (
    JsonOption,
    LocalOption,
    PriorityOption,
    QuietOption,
    ServerOption,
    TimeoutOption,
    chosen_server,
)
from raiw.cli.output import Output
from raiw.errors import InvalidInput

commands = typer.Typer()


@commands.command(epilog=examples("raiw reproduce --list", "raiw reproduce table4"))
def reproduce(  # noqa: PLR0913 -- each argument is an option of the command
    name: Annotated[
        str | None, typer.Argument(metavar="[ITEM|all]", help="A table or figure; see --list.")
    ] = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    priority: PriorityOption = None,
    *,
    local: LocalOption = False,
    list_: Annotated[bool, typer.Option("--list", help="List what can be reproduced.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the papers' printed numbers, and compute those that need no training."""
    from raiw.cli.tables import item_table, row_table
    from raiw.jobs.reproduce import ReproduceJob
    from raiw.reproduction.registry import ITEMS
    from raiw.reproduction.rows import Row

    out = Output(json=json, quiet=quiet)
    if list_ or name is None:
        if not list_:
            raise InvalidInput("say what to reproduce: an item of raiw reproduce --list, or all")
        if out.json:
            out.document({"items": {each.name: each.summary for each in ITEMS.values()}})
        else:
            out.tables(item_table({each.name: each.summary for each in ITEMS.values()}))
        return
    job = ReproduceJob.parse({"item": name})
    url = chosen_server(server, local=local)
    found = do(out, job, JobSite(url, Path(), timeout=timeout, priority=priority), {})
    if out.json:
        out.document(found)
        return
    for item, rows in found.items():
        out.tables(row_table(item, ITEMS[item].summary, [Row(**row) for row in rows]))
