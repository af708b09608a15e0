"""``raiw search``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli import completing
from raiw.cli.documents import JobCommand
from raiw.cli.doing import JobSite, do
from raiw.cli.examples import examples
from raiw.cli.networks import asked
from raiw.cli.options import (
    DATA_HELP,
    ArgumentsOption,
    DataFolderOption,
    DeviceOption,
    JsonOption,
    LocalOption,
    PrunedOption,
    QuietOption,
    RecipeSetOption,
    SeedOption,
    ServerOption,
    TimeoutOption,
    assigned,
    changed,
    chosen_server,
    read_spec,
)
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress
from raiw.cli.studying import is_spec
from raiw.errors import InvalidInput

if TYPE_CHECKING:
    from raiw.jobs.search import SearchJob

commands = typer.Typer()

_Names = Annotated[str, typer.Option(metavar="NAMES")]
_Numbers = Annotated[str, typer.Option(metavar="NUMBERS")]
_Count = Annotated[int, typer.Option(metavar="NUMBER")]
_Number = Annotated[float, typer.Option(metavar="NUMBER")]


@commands.command(
    cls=JobCommand,
    epilog=examples(
        "raiw search digits-cnn --data digits --budget parameters=2000 --trials 4 --generation 2 "
        "--finalists 0 --finals 2 --set epochs=1 --set augment=false -o found",
        "raiw train digits-cnn --data digits --masks found/masks.safetensors --set epochs=2 "
        "--set augment=false -o run",
    ),
)
def search(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: Annotated[
        str,
        typer.Argument(
            metavar="SPEC|NETWORK",
            help="A network that raiw networks lists, or a spec that names one and has rules.",
            autocompletion=completing.networks,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Results, and every trial.")
    ],
    data: Annotated[
        str, typer.Option(metavar="NAME", help=DATA_HELP, autocompletion=completing.data)
    ],
    budget: Annotated[
        list[str],
        typer.Option(
            metavar="UNIT=NUMBER",
            help="parameters, flops, bytes or ms; batch=NUMBER besides is the batch of ms.",
        ),
    ],
    trials: _Count,
    algorithms: _Names,
    group_outputs: _Numbers,
    widths: _Numbers,
    objectives: _Names,
    entropy: _Number,
    sampler: Annotated[str, typer.Option(metavar="NAME")],
    stopping: Annotated[str, typer.Option(metavar="NAME")],
    generation: _Count,
    start: _Names,
    pool: _Count,
    runs: _Count,
    validation: _Number,
    finalists: _Count,
    finalist_runs: _Count,
    finals: _Count,
    seed: SeedOption,
    choose: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=V1,V2",
            help="Values of an argument of the network to choose among; repeatable.",
        ),
    ] = None,
    data_dir: DataFolderOption = Path(),
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A recipe, as for raiw train.")
    ] = None,
    set_: RecipeSetOption = None,
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time here; one per core without.")
    ] = None,
    device: DeviceOption = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    *,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search for the sparse configuration of the best accuracy under a budget.

    Layers' shares of the budget are searched by Optuna, and with several values to choose among
    also algorithms, outputs that share inputs, widths, and arguments of the network. What was found
    is compared with the usual ways over fresh seeds. Started again, it goes on where it was.
    """
    from raiw.jobs.search import SearchJob
    from raiw.readers.documents import read_document

    out = Output(json=json, quiet=quiet)
    site = JobSite(chosen_server(server, local=local), data_dir, device, timeout)
    if site.url is not None and jobs is not None:
        raise InvalidInput("--jobs is for this machine: a server has its workers")
    name, craft = _named(network)
    document: dict[str, Any] = {} if recipe is None else read_document(recipe)
    job = SearchJob.parse(
        {
            **asked(site, name, argument, pruned),
            "data": site.take_data(data),
            "budget": assigned("--budget", budget),
            "craft": craft,
            "recipe": changed(document, set_),
            "trials": trials,
            "algorithms": _split(algorithms),
            "group_outputs": _read("--group-outputs", group_outputs),
            "widths": [float(width) for width in _read("--widths", widths)],
            "choose": _choices(choose),
            "objectives": _split(objectives),
            "entropy": entropy,
            "sampler": sampler,
            "stopping": stopping,
            "generation": generation,
            "start": _split(start),
            "pool": pool,
            "runs": runs,
            "validation": validation,
            "finalists": finalists,
            "finalist_runs": finalist_runs,
            "finals": finals,
            "seed": seed,
        }
    )
    output.mkdir(parents=True, exist_ok=True)
    masks = output / "masks.safetensors"
    if site.url is None:
        report = _here(out, job, site, output, jobs or os.cpu_count() or 1)
    else:
        report = do(out, job, site, {"masks": masks})
    _show(out, report, output)


def _here(out: Output, job: "SearchJob", site: JobSite, folder: Path, jobs: int) -> dict[str, Any]:
    from raiw import extras
    from raiw.canonical import hex_digits
    from raiw.jobs.providing import complete
    from raiw.jobs.registry import find_kind
    from raiw.jobs.workspace import Workspace

    kept = extras.load("raiw.searching.kept")

    def keep(study: dict[str, Any]) -> None:
        with kept.opened(f"sqlite:///{(folder / 'optuna.sqlite').absolute()}") as storage:
            kept.keep(storage, study)

    kind = find_kind(job.kind)
    with LayerProgress(out, kind.phase, job.total, unit=kind.steps) as progress:
        space = Workspace(
            folder=folder / "work" / hex_digits(job.content_key())[:16],
            data_dir=site.data_dir,
            files=site.files,
            outputs={"masks": folder / "masks.safetensors"},
            phase=kind.phase,
            on_progress=lambda *_, **__: None,
            on_study=keep,
            log=out.note,
            device=site.device,
        )
        made = complete(
            job, space, folder / "runs", jobs, lambda done: progress.show(done, "dense and sparse")
        )
    return made.report


def _show(out: Output, report: dict[str, Any], folder: Path) -> None:
    from raiw.cli.tables import text_table
    from raiw.searching.report import tables, write_files

    for path in write_files(report, folder):
        out.note(f"wrote {path}")
    if out.json:
        out.document(report)
    elif out.quiet:
        out.line(str(folder / "spec.yaml"))
    else:
        shown = (
            text_table(heading, columns, [[c.replace("`", "") for c in row] for row in rows], notes)
            for heading, columns, rows, notes in tables(report)
        )
        out.tables(*shown)


def _named(source: str) -> tuple[str, dict[str, Any]]:
    """Return a network's name, and what a spec in its place says of all trials."""
    from raiw.nets.registry import NETS

    if source in NETS or not is_spec(source):
        return source, {}
    from raiw.specs.crafting import TARGETS
    from raiw.study.accuracy.networks import StudiedNetwork

    spec = read_spec(source, None)
    decided = {*TARGETS, "allocation", "algorithm", "group_outputs", "seed"}
    craft = spec.canonical().get("craft", {})
    kept = {name: value for name, value in craft.items() if name not in decided}
    return StudiedNetwork.of_spec(spec).name, kept


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _read(option: str, text: str) -> list[Any]:
    """Return numbers separated by commas."""
    values: list[Any] = assigned(option, [f"value=[{text}]"])["value"]
    if not all(isinstance(value, int | float) for value in values):
        raise InvalidInput(f"{option} {text!r}: write numbers separated by commas")
    return values


def _choices(given: list[str] | None) -> dict[str, Any]:
    for text in given or ():
        if "=" not in text:
            raise InvalidInput(f"--choose {text!r}: write NAME=VALUE,VALUE")
    return assigned("--choose", [text.replace("=", "=[", 1) + "]" for text in given or ()])
