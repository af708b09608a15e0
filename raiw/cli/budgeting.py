"""``raiw budget``."""

from pathlib import Path
from typing import Annotated

import typer

from raiw.cli import completing
from raiw.cli.documents import listing
from raiw.cli.doing import JobSite, do
from raiw.cli.examples import examples
from raiw.cli.options import (
    JsonOption,
    LocalOption,
    PriorityOption,
    QuietOption,
    ServerOption,
    SetOption,
    SpecArgument,
    TimeoutOption,
    chosen_server,
    read_spec,
)
from raiw.cli.output import Output
from raiw.cli.writing import ForceOption, optional_target

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "raiw budget network.yaml --method score -i scores.safetensors -o spec.yaml",
        "raiw craft spec.yaml -i scores.safetensors -o masks.safetensors",
    ),
    cls=listing("method", "raiw.budgets.methods", "METHODS"),
)
def budget(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
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
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="METHOD", autocompletion=completing.budgets)
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the spec there; - is stdout."),
    ] = None,
    set_: SetOption = None,
    layers: Annotated[
        str, typer.Option(metavar="WHICH", help="For afie: convolutions, or all layers.")
    ] = "convolutions",
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    priority: PriorityOption = None,
    *,
    force: ForceOption = False,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Share a density or number of weights among layers by scores; prints a spec of their edges."""
    from raiw.jobs.budget import BudgetJob
    from raiw.specs.spec import Spec

    out = Output(json=json, quiet=quiet)
    file = optional_target(output, force=force, json=json, text=True)
    url = chosen_server(server, local=local)
    site = JobSite(url, Path(), timeout=timeout, priority=priority)
    job = BudgetJob.parse(
        {
            "spec": read_spec(spec, set_),
            "importance": site.take(importance),
            "method": method,
            "layers": layers,
        }
    )
    out.spec(Spec.parse(do(out, job, site, {})["spec"]), file)
