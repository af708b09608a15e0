"""``raiw budget``."""

from pathlib import Path
from typing import Annotated

import typer

from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption, SetOption, SpecArgument, read_spec
from raiw.cli.output import Output

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "raiw budget network.yaml --method score -i scores.safetensors -o spec.yaml",
        "raiw craft spec.yaml -i scores.safetensors -o masks.safetensors",
    )
)
def budget(
    spec: SpecArgument,
    importance: Annotated[
        Path,
        typer.Option("--importance", "-i", metavar="FILE", help="Scores; for afie the weights."),
    ],
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="METHOD", help="score, global or afie.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the spec there.")
    ] = None,
    set_: SetOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Share a density or number of weights among layers by scores; prints a spec of their edges."""
    import yaml

    from raiw.budgets import budget as share
    from raiw.files import write_atomically

    out = Output(json=json, quiet=quiet)
    shared = share(read_spec(spec, set_), importance, method)
    document = shared.canonical()
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=100)
    if output is not None:
        write_atomically(output, [text.encode()])
        plan = shared.plan(scored=True)
        out.note(f"wrote {output}: {plan.weights:,} of {plan.dense_weights:,} weights")
    if out.json:
        out.document(document)
    elif output is None:
        out.line(text.rstrip())
