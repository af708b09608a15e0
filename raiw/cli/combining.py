"""``raiw combine``: one importance file of several."""

from pathlib import Path
from typing import Annotated

import typer

from raiw.cli.examples import examples
from raiw.cli.naming import decimals
from raiw.cli.options import JsonOption, QuietOption
from raiw.cli.output import Output
from raiw.cli.writing import ForceOption, target
from raiw.scores import NORMALISATIONS

commands = typer.Typer()


@commands.command(
    epilog=examples("raiw combine scores.safetensors magnitude.safetensors -o both.safetensors")
)
def combine(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Importance files of one network.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Output file; - is stdout.")
    ],
    weights: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="A weight for each file.", show_default="all equal"),
    ] = None,
    normalise: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"Common scale of each layer: {', '.join(NORMALISATIONS)}.",
        ),
    ] = NORMALISATIONS[0],
    *,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Combine importance files to one: a weighted sum, normalised layer by layer."""
    from raiw.scores.combining import combine as combined

    out = Output(json=json, quiet=quiet)
    file = target(output, force=force, json=json)
    shares = None if weights is None else decimals("--weights", weights)
    scores = combined(files, shares, normalise=normalise)
    with file.path() as path:
        scores.save(path)
    out.note(f"wrote {output}: {len(scores)} layers of {len(files)} scores")
    if out.json:
        out.document({"output": output, "layers": len(scores), **scores.provenance})
