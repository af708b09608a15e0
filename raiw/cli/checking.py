"""``raiw check`` and ``raiw lock``: what a pipeline asks of specs and masks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli.documents import GatesCommand
from raiw.cli.examples import examples
from raiw.cli.inspecting import open_masks
from raiw.cli.judging import Judge, LockedOption, ReportOption
from raiw.cli.options import (
    ImportanceOption,
    JsonOption,
    MasksArgument,
    QuietOption,
    ServerOption,
    SetOption,
    read_spec,
)
from raiw.cli.output import Output
from raiw.cli.sources import holds_masks
from raiw.cli.writing import ForceOption, target
from raiw.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from raiw.specs.gates import Gates
    from raiw.specs.spec import Spec

commands = typer.Typer()

_Number = Annotated[float | None, typer.Option(metavar="NUMBER")]
_Count = Annotated[int | None, typer.Option(metavar="NUMBER")]


@commands.command(
    cls=GatesCommand,
    epilog=examples(
        "raiw check raiw/vgg16-d16 --max-density 0.06 --no-dead-units",
        "raiw craft raiw/vgg16-d16 -o masks.safetensors",
        "raiw check masks.safetensors --components 1 --max-entropy-gap 0.1",
        "raiw lock masks.safetensors -o raiw.lock",
        "raiw check masks.safetensors --locked raiw.lock --report report",
    ),
)
def check(  # noqa: PLR0913 -- each argument is an option of the command
    what: Annotated[
        str,
        typer.Argument(
            metavar="MASKS|SPEC", help="Masks: a file, - (stdin) or a digest; or else a spec."
        ),
    ],
    spec: Annotated[
        str | None, typer.Option("--spec", metavar="SPEC", help="Its gates are those of the masks.")
    ] = None,
    importance: ImportanceOption = None,
    set_: SetOption = None,
    *,
    max_gap: _Number = None,
    max_entropy_gap: _Number = None,
    components: _Count = None,
    min_density: _Number = None,
    max_density: _Number = None,
    max_weights: _Count = None,
    locked: LockedOption = None,
    report: ReportOption = None,
    server: ServerOption = None,
    no_dead_units: Annotated[bool | None, typer.Option("--no-dead-units")] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Hold masks, or what a spec plans, against gates and a lock; exit 6 if one fails.

    Gates are those of the spec's section gates, and the options, which win.
    """
    from raiw.specs.gates import Gates

    out = Output(json=json, quiet=quiet)
    options = {
        "max_gap": max_gap,
        "max_entropy_gap": max_entropy_gap,
        "components": components,
        "min_density": min_density,
        "max_density": max_density,
        "max_weights": max_weights,
        "no_dead_units": no_dead_units or None,
    }
    given = Gates.parse({name: value for name, value in options.items() if value is not None})
    masks = holds_masks(what)
    if not masks and spec is not None:
        raise InvalidInput("--spec is for masks: give one spec")
    if masks and importance is not None:
        raise InvalidInput(
            "-i belongs to a spec: masks keep the digest of their scores; raiw verify -i checks it"
        )
    if masks and spec is None and set_:
        raise InvalidInput("--set changes a spec: give --spec too")
    named = spec if masks else what
    parsed = None if named is None else read_spec(named, set_)
    own = parsed.gates if parsed is not None else None
    gates = given if own is None else own.with_others(given)
    if not gates.asked and locked is None:
        raise InvalidInput(
            "nothing to check: give a gate such as --max-density 0.1, --locked raiw.lock, or a "
            "spec with a section gates"
        )
    judge = Judge(out, gates if gates.asked else None, locked, report)
    if masks:
        opened = open_masks(what, server)
        judge.masks(lambda: opened)
        result: dict[str, Any] = {"digest": opened.digest}
    else:
        assert parsed is not None  # noqa: S101 -- what is not masks is the spec
        result = _check_spec(judge, parsed, importance, given)
    if out.json:
        out.document(result | judge.verdict)
    else:
        out.line(next(iter(result.values())))
    judge.end()


@commands.command(
    epilog=examples("raiw craft raiw/vgg16-d16 -o masks.safetensors", "raiw lock masks.safetensors")
)
def lock(
    masks: MasksArgument,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The lock to write; - is stdout.")
    ] = "raiw.lock",
    server: ServerOption = None,
    *,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write down which masks these are, and what they were crafted from, to be kept beside it.

    raiw craft --locked and raiw check --locked exit 6 once spec, scores or masks differ. Another
    lock is replaced; any other file is only with --force.
    """
    from raiw.locking import Lock

    out = Output(json=json, quiet=quiet)
    file = target(output, force=force or _holds_lock(output), json=json, text=True)
    made = Lock.of(open_masks(masks, server))
    file.write([made.encoded()])
    if out.json:
        out.document(made.model_dump(mode="json"))
    elif not file.stdout:
        out.line(made.masks)
    out.note(f"wrote {file.name}")


def _holds_lock(path: str) -> bool:
    from raiw.locking import Lock

    try:
        Lock.read(Path(path))
    except (InvalidInput, NotFound):
        return False
    return True


def _check_spec(
    judge: Judge, spec: "Spec", importance: Path | None, given: "Gates"
) -> dict[str, Any]:
    from raiw.cli.crafting import importance_digest
    from raiw.gating import NEED_MASKS, check_plan, require_plan_gates

    if judge.report is not None:
        raise InvalidInput("--report is about masks: craft the spec, and check the masks")
    require_plan_gates(given)
    digest = importance_digest(importance, spec)
    judge.spec(spec, lambda: digest)
    if judge.gates is not None:
        judge.results = check_plan(spec.plan(scored=digest is not None), judge.gates)
        if later := NEED_MASKS & judge.gates.asked.keys():
            judge.out.note(f"not checked, as they need masks: {', '.join(sorted(later))}")
    return {"content_key": spec.content_key(digest)}
