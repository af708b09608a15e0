"""``raiw reproduce``."""

from typing import Annotated

import typer

from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption
from raiw.cli.output import Output
from raiw.errors import InvalidInput

commands = typer.Typer()


@commands.command(epilog=examples("raiw reproduce --list", "raiw reproduce table4"))
def reproduce(
    name: Annotated[
        str | None, typer.Argument(metavar="[ITEM|all]", help="A table or figure; see --list.")
    ] = None,
    *,
    list_: Annotated[bool, typer.Option("--list", help="List what can be reproduced.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the papers' printed numbers, and compute those that need no training."""
    from raiw.cli.tables import item_table, row_table
    from raiw.reproduction.registry import ITEMS, item

    out = Output(json=json, quiet=quiet)
    if list_ or name is None:
        if not list_:
            raise InvalidInput("say what to reproduce: an item of raiw reproduce --list, or all")
        if out.json:
            out.document({"items": {each.name: each.summary for each in ITEMS.values()}})
        else:
            out.tables(item_table({each.name: each.summary for each in ITEMS.values()}))
        return
    rows = {each.name: each.run() for each in (ITEMS.values() if name == "all" else (item(name),))}
    if out.json:
        out.document({key: [row.to_json() for row in found] for key, found in rows.items()})
        return
    out.tables(*(row_table(key, ITEMS[key].summary, found) for key, found in rows.items()))
