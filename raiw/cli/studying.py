"""``raiw study``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli.doing import JobSite, do
from raiw.cli.examples import examples
from raiw.cli.naming import decimals, numbers
from raiw.cli.options import (
    ArgumentsOption,
    DataFolderOption,
    ImportanceOption,
    JsonOption,
    LocalOption,
    PrunedOption,
    QuietOption,
    ServerOption,
    SetOption,
    assigned,
    changed,
    chosen_server,
    connect,
    read_spec,
)
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress
from raiw.errors import InvalidInput, TrainingFailed

if TYPE_CHECKING:
    from raiw.specs.spec import Spec
    from raiw.study.accuracy.trials import TrialPlan

commands = typer.Typer()

SpecOrNetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="A spec file, a name from the catalogue, or - (stdin); with --train any network.",
    ),
]


@commands.command(
    epilog=examples(
        "raiw study raiw/digits-cnn-10 --methods regular,random --seeds 2 -o study",
        "raiw study raiw/digits-cnn-10 --train --methods regular,random --densities 0.1,0.2 "
        "--seeds 1 --train-set epochs=1 -o study",
    )
)
def study(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    spec: SpecOrNetworkArgument,
    importance: ImportanceOption = None,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Algorithms, separated by commas; the first is the base."
        ),
    ] = "",
    seeds: Annotated[
        int, typer.Option(min=1, help="Runs of each method that draws at random or trains.")
    ] = 3,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Write Markdown, CSV, JSON and SVG."),
    ] = None,
    set_: SetOption = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train with the masks, and compare accuracies.")
    ] = False,
    densities: Annotated[
        str | None,
        typer.Option(
            metavar="SHARES", help="With --train: densities, separated by commas; 0.1 without."
        ),
    ] = None,
    group_outputs: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="With --train: values of craft.group_outputs to compare, separated by commas.",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --train: a data set; digits without.")
    ] = None,
    data_dir: DataFolderOption = Path(),
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --train: as in raiw train.")
    ] = None,
    train_set: Annotated[
        list[str] | None,
        typer.Option(
            "--train-set", metavar="KEY=VALUE", help="Change the recipe, as in epochs=20."
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="With --train: runs at a time; one per core without.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --train: as in raiw train.")
    ] = None,
    server: ServerOption = None,
    *,
    fixed_graph: Annotated[
        bool,
        typer.Option(
            "--fixed-graph",
            help="With --train: methods with scores have one graph for all seeds, as in Table 3.",
        ),
    ] = False,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Craft one spec by several methods and seeds, and compare degrees, entropy and scores.

    With --train a network, any that raiw networks lists, is trained from scratch with the masks of
    every method, density and seed, and accuracies are compared; ALGORITHM:SCORE names the score of
    a method. Started again, it continues where it was. With --server each run is a job there, and
    without --train the study is one.
    """
    out = Output(json=json, quiet=quiet)
    names = _split(methods)
    training = (
        densities,
        group_outputs,
        data,
        argument,
        pruned,
        recipe,
        train_set,
        jobs,
        device,
    )
    if not train:
        if fixed_graph or any(option is not None for option in training):
            raise InvalidInput(
                "--densities, --group-outputs, --data, --argument, --pruned, --recipe, "
                "--train-set, --fixed-graph, --jobs and --device belong to --train"
            )
        site = JobSite(chosen_server(server, local=local), Path())
        _compare_masks(out, read_spec(spec, set_), importance, names, seeds, output, site)
        return
    if importance is not None or output is None:
        raise InvalidInput(
            "--train keeps its runs in a folder and scores networks that it has trained: give -o "
            "FOLDER and no -i"
        )
    from raiw.readers.documents import read_document
    from raiw.specs.spec import Spec
    from raiw.study.accuracy.networks import StudiedNetwork
    from raiw.study.accuracy.trials import METHODS, plan_training
    from raiw.training.data.registry import open_dataset

    document: dict[str, Any] = {} if recipe is None else read_document(recipe)
    url = chosen_server(server, local=local)
    if url is not None and (device is not None or jobs is not None):
        raise InvalidInput("--device and --jobs are for this machine: a server has its workers")
    network = None
    if is_spec(spec) and not argument and pruned is None:
        parsed = read_spec(spec, set_)
    else:
        network = StudiedNetwork.named(spec, assigned("--argument", argument), pruned)
        shape = None if url is not None else open_dataset(data or "digits", data_dir).shape
        parsed = Spec.parse(changed(network.spec(shape), set_))
    plan = plan_training(
        parsed,
        data or "digits",
        data_dir=data_dir,
        methods=names or METHODS,
        densities=decimals("--densities", densities or "0.1"),
        group_outputs=numbers("--group-outputs", group_outputs) if group_outputs else (),
        seeds=seeds,
        fixed_graph=fixed_graph,
        recipe=changed(document, train_set),
        device=device,
        data_digest=url and f"{url}#{data or 'digits'}",
        network=network,
    )
    compare_accuracies(out, plan, output, jobs, url)


def compare_accuracies(
    out: Output, plan: "TrialPlan", folder: Path, jobs: int | None = None, url: str | None = None
) -> None:
    """Train every run of a plan, here or on a server; write the report and print it.

    Raises
    ------
    TrainingFailed
        No run succeeded.
    """
    from raiw.cli.tables import text_table
    from raiw.study.accuracy.report import (
        accuracy_columns,
        accuracy_notes,
        accuracy_rows,
        accuracy_title,
        write_accuracy_report,
    )
    from raiw.study.accuracy.runs import run_plan

    folder.mkdir(parents=True, exist_ok=True)
    total = plan.setting.recipe.epochs * len(plan.trials)
    with LayerProgress(out, "training", total, unit="epochs") as progress:
        if url is None:
            found = run_plan(plan, folder, jobs=jobs, on_progress=progress.show)
        else:
            from raiw.study.accuracy.server import run_plan_on

            with connect(url) as client:
                found = run_plan_on(client, plan, on_progress=progress.show)
    for path in write_accuracy_report(found, folder):
        out.note(f"wrote {path}")
    if out.json:
        out.document(found.to_json())
    else:
        columns, rows = accuracy_columns(found), accuracy_rows(found)
        out.tables(text_table(accuracy_title(found), columns, rows, accuracy_notes(found)))
    if not found.rows:
        raise TrainingFailed(f"no run succeeded; the first: {found.runs[0].reason}")


def _compare_masks(
    out: Output,
    spec: "Spec",
    importance: Path | None,
    methods: list[str],
    seeds: int,
    folder: Path | None,
    site: JobSite,
) -> None:
    from raiw.cli.tables import text_table
    from raiw.jobs.study import StudyJob
    from raiw.study.graphs.found import Study
    from raiw.study.graphs.report import comparison, notes, title, write_report

    job = StudyJob.parse(
        {
            "spec": spec,
            "importance": None if importance is None else site.take(importance),
            "methods": tuple(methods),
            "seeds": seeds,
        }
    )
    found = Study.of_json(do(out, job, site, {}))
    if folder is not None:
        for path in write_report(found, folder):
            out.note(f"wrote {path}")
    if out.json:
        out.document(found.to_json())
    else:
        out.tables(text_table(title(found), *comparison(found), notes(found)))


def is_spec(source: str) -> bool:
    """Whether a spec is named, not a network that has none."""
    from raiw import catalogue

    path = Path(source)
    suffixes = {".yaml", ".yml", ".json", ".toml"}
    return source in {"-", *catalogue.names()} or path.is_file() or path.suffix in suffixes


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
