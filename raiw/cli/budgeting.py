"""``raiw budget``."""

from pathlib import Path
from typing import Annotated

import typer

from raiw.cli.documents import listing
from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption, SetOption, SpecArgument, read_spec
from raiw.cli.output import Output

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "raiw budget network.yaml --method score -i scores.safetensors -o spec.yaml",
        "raiw craft spec.yaml -i scores.safetensors -o masks.safetensors",
    ),
    cls=listing("method", "raiw.budgets.budget", "METHODS"),
)
def budget(  # noqa: PLR0913 -- each argument is an option of the command
    spec: SpecArgument,
    importance: Annotated[
        Path,
        typer.Option(
            "--importance",
            "-i",
            metavar="FILE",
            help="Scores; for afie weights; for channels what raiw prune --channels wrote.",
        ),
    ],
    method: Annotated[str, typer.Option("--method", "-m", metavar="METHOD")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the spec to this file."),
    ] = None,
    set_: SetOption = None,
    layers: Annotated[
        str, typer.Option(metavar="WHICH", help="For afie: convolutions, or all layers.")
    ] = "convolutions",
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Share a density or number of weights among layers by scores; prints a spec of their edges."""
    from raiw.budgets.budget import budget as share

    shared = share(read_spec(spec, set_), importance, method, layers=layers)
    Output(json=json, quiet=quiet).spec(shared, output)
