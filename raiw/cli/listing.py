"""``raiw networks``, ``raiw presets``, ``raiw methods`` and ``raiw data``: what there is."""

import fnmatch
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli.examples import examples
from raiw.cli.options import (
    DataFolderOption,
    JsonOption,
    LocalOption,
    QuietOption,
    ServerOption,
    chosen_server,
    connect,
)
from raiw.cli.output import Output
from raiw.errors import NotFound
from raiw.names import unknown

if TYPE_CHECKING:
    from raiw.algorithms import Algorithm
    from raiw.cli.table import Table
    from raiw.importance.methods import Score
    from raiw.pruning.methods import Method

commands = typer.Typer()

PatternArgument = Annotated[
    str, typer.Argument(metavar="GLOB", help="Only those of such a name, as in 'resnet*'.")
]


@commands.command(epilog=examples("raiw networks 'resnet*'", "raiw networks -q"))
def networks(
    pattern: PatternArgument = "*",
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
    shown = _matching(found, pattern, "network")
    for fault in faults:
        out.note(f"no networks of {fault['name']}: {fault['detail']}")
    from raiw.cli.tables import network_table

    _print(out, {"items": shown, "faults": faults}, network_table(shown))


@commands.command(epilog=examples("raiw presets", "raiw presets 'raiw/vgg16*' --json"))
def presets(
    pattern: PatternArgument = "*", *, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """List the names that stand for a spec: networks of the papers, and presets with a target."""
    from raiw import catalogue
    from raiw.cli.tables import summary_table

    documents = {name: catalogue.read(name) or {} for name in catalogue.names()}
    found = [
        {"name": name, "network": document.get("model"), "summary": document["description"]}
        for name, document in documents.items()
    ]
    shown = _matching(found, pattern, "preset")
    _print(Output(json, quiet), {"items": shown}, summary_table(shown, "name"))


@commands.command(epilog=examples("raiw methods", "raiw methods 'l1*' -q"))
def methods(
    pattern: PatternArgument = "*", *, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """List the methods: to craft graphs, score edges, prune channels and share a budget."""
    from raiw.cli.tables import summary_table

    shown = _matching([*_methods()], pattern, "method")
    _print(Output(json, quiet), {"items": shown}, summary_table(shown, "for", "name"))


@commands.command(epilog=examples("raiw data", "raiw data --data-dir . --json"))
def data(
    data_dir: DataFolderOption = Path(), *, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """List the data sets: those that raiw can read, and which of them are below a folder."""
    from raiw.cli.tables import summary_table
    from raiw.training.data.registry import DATASETS, available

    here = available(data_dir)
    own = [name for name in here if name not in DATASETS]
    shown = [
        {"name": name, "here": name in here, "summary": known.summary}
        for name, known in DATASETS.items()
    ] + [{"name": name, "here": True, "summary": f"below {str(data_dir)!r}"} for name in own]
    _print(Output(json, quiet), {"items": shown}, summary_table(shown, "name", "here"))


def _matching(found: list[dict[str, Any]], pattern: str, what: str) -> list[dict[str, Any]]:
    shown = [each for each in found if fnmatch.fnmatchcase(each["name"], pattern)]
    if found and not shown:
        raise unknown(pattern, [each["name"] for each in found], what, NotFound)
    return shown


def _print(out: Output, document: dict[str, Any], table: "Table") -> None:
    if out.json:
        out.document(document)
    elif out.quiet:
        for each in document["items"]:
            out.line(each["name"])
    else:
        out.tables(table)


def _methods() -> Iterator[dict[str, Any]]:
    """Yield every method; what needs torch is listed without it too."""
    from raiw.algorithms import ALGORITHMS
    from raiw.budgets.methods import METHODS as BUDGETS
    from raiw.importance.methods import SCORES
    from raiw.pruning.methods import METHODS as PRUNING

    known: dict[str, Iterable[Algorithm | Score | Method]] = {
        "craft": ALGORITHMS.values(),
        "score": SCORES.values(),
        "prune": PRUNING.values(),
    }
    for verb, table in known.items():
        for each in table:
            facts = {"name": each.name, "summary": each.summary, "source": each.source}
            yield {"for": verb, **facts}
    for name, summary in BUDGETS.items():
        yield {"for": "budget", "name": name, "summary": summary, "source": ""}


def _here(modules: list[str], faults: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
    from raiw.errors import RaiwError
    from raiw.nets.modules import below
    from raiw.nets.networks import FAMILIES, list_networks

    def on_fault(name: str, error: RaiwError) -> None:
        faults.append({"name": name, "code": error.code, "detail": error.message})

    with below(Path.cwd()):
        for network in list_networks([*modules, *FAMILIES], on_fault):
            yield network.to_json()
