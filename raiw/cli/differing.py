"""``raiw diff``: two sets of masks, specs or saved plans."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from raiw.cli.crafting import plan_document
from raiw.cli.examples import examples
from raiw.cli.exits import GATE
from raiw.cli.inspecting import open_masks
from raiw.cli.options import JsonOption, QuietOption, ServerOption, read_spec
from raiw.cli.output import Output
from raiw.cli.sources import holds_masks

if TYPE_CHECKING:
    from raiw.masks.compare import Difference
    from raiw.specs.changes import PlanChanges

commands = typer.Typer()

_Side = typer.Argument(metavar="MASKS|SPEC|PLAN", help="Masks, a spec, or what plan --save wrote.")


@commands.command(
    epilog=examples(
        "raiw plan raiw/vgg16-d16 --save before.json",
        "raiw diff before.json raiw/vgg16-d8 || test $? = 6",
        "raiw craft raiw/vgg16-d16 -o a.safetensors",
        "raiw craft raiw/vgg16-d8 -o b.safetensors",
        "raiw diff a.safetensors b.safetensors || test $? = 6",
    )
)
def diff(
    a: str = _Side,
    b: str = _Side,
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare two sets of masks edge by edge, or plans layer by layer; exit 6 if they differ.

    A spec stands for its plan, and so do masks that are compared with one.
    """
    out = Output(json=json, quiet=quiet)
    found: Difference | PlanChanges
    if holds_masks(a) and holds_masks(b):
        first = open_masks(a, server)
        found = first.diff(open_masks(b, server))
        same = f"the same masks: {first.digest}"
    else:
        from raiw.specs.changes import compare_plans

        planned = _plan(a, server)
        found = compare_plans(planned, _plan(b, server))
        same = f"the same plan: {planned['content_key']}"
    if out.json:
        out.document(found.to_json())
    elif found.same:
        out.note(same)
    elif not out.quiet:
        _show(out, found)
    if not found.same:
        raise typer.Exit(GATE)


def _plan(source: str, server: str | None) -> dict[str, Any]:
    from raiw.specs.changes import saved_plan

    if holds_masks(source):
        masks = open_masks(source, server)
        scored = masks.importance is not None
        key = masks.spec.content_key(masks.importance)
        return {**masks.spec.plan(scored=scored).to_json(), "content_key": key}
    return saved_plan(Path(source)) or plan_document(read_spec(source, None))


def _show(out: Output, found: "Difference | PlanChanges") -> None:
    from raiw.cli.tables import change_table, difference_table
    from raiw.specs.changes import PlanChanges

    if isinstance(found, PlanChanges):
        out.render(change_table(found))
    else:
        out.render(difference_table(found))
