"""``raiw sensitivity`` and ``raiw afie``: reports of a network's layers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli.data import data_file
from raiw.cli.examples import examples
from raiw.cli.naming import decimals, named_network
from raiw.cli.options import (
    DATA_HELP,
    ArgumentsOption,
    DataFolderOption,
    InputOption,
    JsonOption,
    NetworkArgument,
    PrunedOption,
    QuietOption,
    WeightsOption,
)
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress
from raiw.study.layers.defaults import SHARES, TOLERANCE

if TYPE_CHECKING:
    from raiw.study.layers.report import ReportTable

commands = typer.Typer()

ReportFolderOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FOLDER", help="Write Markdown, JSON and SVG."),
]


@commands.command(
    epilog=examples(
        "raiw sensitivity digits-cnn -w weights.safetensors --data digits --shares 0.5 -o layers"
    )
)
def sensitivity(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: NetworkArgument,
    weights: WeightsOption,
    data: Annotated[str, typer.Option(metavar="NAME", help=DATA_HELP)],
    output: ReportFolderOption = None,
    shares: Annotated[
        str,
        typer.Option(
            "--shares", metavar="SHARES", help="Of its filters that a layer keeps, as in 0.75,0.5."
        ),
    ] = ",".join(map(str, SHARES)),
    tolerance: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Accuracy that the suggested shares may cost."),
    ] = TOLERANCE,
    data_dir: DataFolderOption = Path(),
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Prune each layer alone at several shares and test, untrained; suggests --keep for prune."""
    from dataclasses import replace

    from raiw.study.layers import report
    from raiw.study.layers.sensitivity import sensitivity as tested
    from raiw.training.data.registry import open_dataset
    from raiw.training.fit import check_fit

    out = Output(json=json, quiet=quiet)
    file = data_file(data)
    dataset = open_dataset(data, data_dir) if file is None else open_dataset(file.stem, file.parent)
    own = replace(named_network(network, argument, pruned, None), input_shape=dataset.shape)
    model = own.trained(weights)
    check_fit(model, network, dataset)
    with LayerProgress(out, "testing", 100, first_line=2, unit="%") as progress:

        def show(name: str, place: int, layers: int) -> None:
            progress.show(100 * place // layers, name)

        found = tested(
            model,
            own.example(),
            dataset,
            shares=decimals("--shares", shares),
            tolerance=tolerance,
            on_layer=show,
        )
    paths = [] if output is None else report.write_sensitivity(found, network, output)
    _tell(
        out,
        found.to_json(),
        paths,
        report.sensitivity_title(network),
        report.sensitivity_table(found),
        report.sensitivity_notes(found),
    )


@commands.command(epilog=examples("raiw afie digits-cnn -w weights.safetensors -o layers"))
def afie(  # noqa: PLR0913 -- each argument is an option of the command
    network: NetworkArgument,
    weights: Annotated[
        list[Path],
        typer.Option(
            "--weights", "-w", metavar="FILE", help="State dict, safetensors; one a state."
        ),
    ],
    output: ReportFolderOption = None,
    input_: InputOption = None,
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare average filter information entropies of a network's layers, epoch by epoch."""
    from raiw.study.layers import report
    from raiw.study.layers.spectra import afie_scores, spectra

    out = Output(json=json, quiet=quiet)
    own = named_network(network, argument, pruned, input_)
    models = {str(file): own.trained(file) for file in weights}
    states = {name: afie_scores(model) for name, model in models.items()}
    found = spectra(states, next(iter(models.values())))
    paths = [] if output is None else report.write_spectra(found, network, output)
    _tell(
        out,
        found.to_json(),
        paths,
        report.spectra_title(network),
        report.spectra_table(found),
        report.spectra_notes(found),
    )


def _tell(
    out: Output,
    document: dict[str, Any],
    paths: list[Path],
    title: str,
    table: "ReportTable",
    notes: list[str],
) -> None:
    from raiw.cli.tables import text_table

    for path in paths:
        out.note(f"wrote {path}")
    if out.json:
        out.document(document)
    else:
        out.tables(text_table(title, *table, notes))
