"""``raiw study``."""

from pathlib import Path
from typing import Annotated

import typer

from raiw.cli.examples import examples
from raiw.cli.options import (
    ImportanceOption,
    JsonOption,
    QuietOption,
    SetOption,
    SpecArgument,
    read_spec,
)
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress

commands = typer.Typer()


@commands.command(
    epilog=examples("raiw study raiw/vgg16-d8 --methods regular,random --seeds 2 -o study")
)
def study(  # noqa: PLR0913 -- each argument is an option of the command
    spec: SpecArgument,
    importance: ImportanceOption = None,
    methods: Annotated[
        str, typer.Option(metavar="NAMES", help="Algorithms, with commas; the first is the base.")
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of methods that draw at random.")] = 3,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Write Markdown, CSV, JSON and SVG."),
    ] = None,
    set_: SetOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Craft one spec by several methods and seeds, and compare degrees, entropy and scores."""
    from raiw.study.report import markdown, write_report
    from raiw.study.study import default_methods, plan_runs
    from raiw.study.study import study as run

    out = Output(json=json, quiet=quiet)
    parsed = read_spec(spec, set_)
    chosen = [name.strip() for name in methods.split(",") if name.strip()]
    names = chosen or default_methods(scored=importance is not None)
    with LayerProgress(out, "studying", len(plan_runs(names, seeds)), unit="runs") as progress:
        found = run(
            parsed,
            importance,
            methods=chosen,
            seeds=seeds,
            on_run=lambda done, _total, name: progress.show(done, name),
        )
    if output is not None:
        for path in write_report(found, output):
            out.note(f"wrote {path}")
    if out.json:
        out.document(found.to_json())
    else:
        out.line(markdown(found).rstrip())
