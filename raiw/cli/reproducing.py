"""``raiw reproduce``."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from raiw.cli.writing import ForceOption
from raiw.errors import InvalidInput

if TYPE_CHECKING:
    from raiw.jobs.reproduce import ReproduceJob
    from raiw.reproduction.registry import Item
    from raiw.reproduction.results import TrainingResult

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "raiw reproduce --list",
        "raiw reproduce table4",
        "raiw reproduce figure2 --pictures figures",
    )
)
def reproduce(  # noqa: PLR0913 -- each argument is an option of the command
    name: Annotated[
        str | None,
        typer.Argument(metavar="[ITEM|all]", help="A table, figure or statement; see --list."),
    ] = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    priority: PriorityOption = None,
    *,
    local: LocalOption = False,
    list_: Annotated[bool, typer.Option("--list", help="List what can be reproduced.")] = False,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Draw the item, or every one of --list that has a picture: SVG, PNG and CSV.",
        ),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="With --pictures: a report.json of raiw train, or an accuracy.json of raiw study, "
            "whose errors Figures 4a and 4b then show.",
        ),
    ] = None,
    train: Annotated[
        bool,
        typer.Option("--train", help="With all: also what trains a network on digits, a minute."),
    ] = False,
    dark: Annotated[
        bool,
        typer.Option("--dark", help="PNGs on a dark ground; an SVG is as its reader prefers."),
    ] = False,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the papers' printed numbers, compute those that need no training, and draw the figures.

    An item that trains a network on digits does so when it is named, or by --train. Pictures are
    drawn on this machine.
    """
    from raiw.cli.picturing import PictureFolder
    from raiw.cli.tables import picture_table
    from raiw.reproduction.registry import ITEMS

    out = Output(json=json, quiet=quiet)
    if list_:
        _list(out)
        return
    if pictures is None and (results or dark or force):
        raise InvalidInput("--results, --dark and --force belong to --pictures FOLDER")
    if name is None and pictures is None:
        raise InvalidInput("say what to reproduce: an item of raiw reproduce --list, or all")
    chosen = _chosen(name, drawn=pictures is not None, train=train)
    files: dict[str, list[str]] = {}
    if pictures is not None:
        given = _read(chosen, results or [])
        drawn = PictureFolder(out, pictures, dark=dark, force=force)
        drawn.draw([each for each in chosen if each.pictures], given)
        files = drawn.written
    found: dict[str, list[dict[str, Any]]] = {}
    if name is not None:
        site = JobSite(
            chosen_server(server, local=local), Path(), timeout=timeout, priority=priority
        )
        for job in _jobs(name, train=train):
            found |= do(out, job, site, {})
    if out.json:
        out.document(found | ({"pictures": files} if pictures is not None else {}))
    elif name is None:
        out.tables(picture_table({key: ITEMS[key].summary for key in files}, files))
    else:
        _show(out, found, files)


def _show(out: Output, found: dict[str, list[dict[str, Any]]], files: dict[str, list[str]]) -> None:
    from raiw.cli.tables import row_table
    from raiw.reproduction.registry import ITEMS
    from raiw.reproduction.rows import Row

    for file in itertools.chain(*files.values()):
        out.note(f"wrote {file}")
    for key, rows in found.items():
        out.tables(row_table(key, ITEMS[key].summary, [Row(**row) for row in rows]))


def _jobs(name: str, *, train: bool) -> "list[ReproduceJob]":
    """Return what computes the numbers of an item, or of all."""
    from raiw.jobs.reproduce import ALL, ReproduceJob
    from raiw.reproduction.registry import ITEMS

    trained = [each.name for each in ITEMS.values() if each.trains and name == ALL and train]
    return [ReproduceJob.parse({"item": item}) for item in (name, *trained)]


def _list(out: Output) -> None:
    from raiw.cli.tables import item_table
    from raiw.reproduction.registry import ITEMS, PICTURES

    items = {each.name: each.summary for each in ITEMS.values()}
    if out.json:
        out.document({"items": items, "pictures": PICTURES})
    else:
        out.tables(item_table(items, PICTURES))


def _chosen(name: str | None, *, drawn: bool, train: bool) -> "list[Item]":
    """Return the item of that name, or all; without a name all that have pictures."""
    from raiw.jobs.reproduce import ALL
    from raiw.reproduction.registry import ITEMS, item, pictured

    if name not in {None, ALL}:
        return [pictured(str(name)) if drawn else item(str(name))]
    return [
        each
        for each in ITEMS.values()
        if (train or not each.trains) and (name == ALL or each.pictures)
    ]


def _read(chosen: "Sequence[Item]", files: list[Path]) -> "list[TrainingResult]":
    """Read results of training, for the items that show them.

    Raises
    ------
    InvalidInput
        No item shows them.
    """
    from raiw.reproduction.registry import ITEMS

    if not files:
        return []
    if not any(item.results for item in chosen):
        shown = " and ".join(each.name for each in ITEMS.values() if each.results)
        raise InvalidInput(f"--results are shown by {shown} alone")
    from raiw.reproduction.results import read_results
    from raiw.reproduction.tradeoffs import check_results

    found = read_results(files)
    check_results(found)
    return found
