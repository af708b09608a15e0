"""``raiw plan``, ``raiw craft`` and ``raiw key``."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli.examples import examples
from raiw.cli.following import follow
from raiw.cli.judging import Judge, LockedOption, ReportOption
from raiw.cli.options import (
    ImportanceOption,
    JsonOption,
    LocalOption,
    MetadataOption,
    QuietOption,
    ServerOption,
    SetOption,
    SpecArgument,
    StrictOption,
    TimeoutOption,
    chosen_server,
    connect,
    notes,
    read_spec,
    seconds,
)
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress
from raiw.errors import InvalidInput, StillRunning
from raiw.names import listed

if TYPE_CHECKING:
    from raiw.client import Client
    from raiw.masks import Mask, MaskSet
    from raiw.specs.dead import DeadUnits
    from raiw.specs.plan import Plan
    from raiw.specs.spec import Spec

commands = typer.Typer()

_CACHE_NOTES = {
    "hit": "stored before",
    "joined": "joined a running job",
    "created": "crafted now",
}
_QUICK_JOB_SECONDS = 1.0
"""How long a server may delay its first answer: most jobs have ended by then."""

OutputOption = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the mask file; - is stdout."),
]


@commands.command(
    epilog=examples(
        "raiw plan raiw/vgg16-d16",
        "raiw plan vgg16-cifar10 --set craft.density=0.1 --json",
        "raiw plan raiw/vgg16-d16 --save plan.json",
    )
)
def plan(  # noqa: PLR0913 -- each argument is an option of the command
    spec: SpecArgument,
    importance: ImportanceOption = None,
    set_: SetOption = None,
    batch: Annotated[
        str | None,
        typer.Option(metavar="SIZES", help="With --speed: batch sizes; 1,64 without."),
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help="With --speed: thread counts; torch's without."),
    ] = None,
    server: ServerOption = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the plan for raiw diff, as JSON.")
    ] = None,
    *,
    speed: Annotated[
        bool,
        typer.Option("--speed", help="Predict milliseconds on this machine, dense and compact."),
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="With --speed: measure this machine's table again."),
    ] = False,
    local: LocalOption = False,
    strict: StrictOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what a spec would craft: every layer's edges and degrees. Crafts nothing.

    --speed predicts the time of its layers from a table of this machine, which is measured once and
    kept in the user's cache folder.
    """
    if not speed and (calibrate or batch or threads):
        raise InvalidInput("--batch, --threads and --calibrate belong to --speed")
    out = Output(json=json, quiet=quiet)
    parsed = read_spec(spec, set_)
    url = chosen_server(server, local=local)
    if url is None:
        document = plan_document(parsed, importance)
    else:
        with connect(url) as client:
            document = client.plan(parsed, importance)
    if speed:
        from raiw.cli.predicting import predict_speed

        planned = parsed.plan(scored=importance is not None)
        document["speed"] = predict_speed(out, planned, batch, threads, calibrate=calibrate)
    out.dead_units(_dead_units(document), strict=strict)
    if save is not None:
        from raiw.specs.changes import save_plan

        save_plan(document, save)
        out.note(f"wrote {save}")
    if out.json:
        out.document(document)
    elif out.quiet:
        out.line(document["content_key"])
    else:
        from raiw.cli.tables import plan_table, prediction_table

        out.render(plan_table(document), *map(prediction_table, document.get("speed", ())))


@commands.command(
    epilog=examples(
        "raiw craft raiw/vgg16-d16 -o masks.safetensors",
        "raiw craft vgg16-cifar10 --set craft.degree=8 --set craft.seed=3 --json",
    )
)
def craft(  # noqa: PLR0913 -- each argument is an option of the command
    spec: SpecArgument,
    importance: ImportanceOption = None,
    output: OutputOption = None,
    set_: SetOption = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", min=1, help="Layers crafted here at a time."),
    ] = None,
    *,
    locked: LockedOption = None,
    report: ReportOption = None,
    metadata: MetadataOption = None,
    local: LocalOption = False,
    strict: StrictOption = False,
    wait: Annotated[
        bool, typer.Option("--wait/--detach", help="Wait for the server's job, or just start it.")
    ] = True,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Craft masks, on this machine or, with --server or RAIW_URL, on a server: the same bytes.

    Prints the masks' content digest; with --detach the id of the job. Exits 6 if the masks fail the
    spec's gates or are not those locked; they are written all the same.
    """
    out = Output(json=json, quiet=quiet)
    limit = seconds(timeout)
    url = chosen_server(server, local=local)
    _check_output(output, report, out, detach=not wait and url is not None)
    parsed, noted = read_spec(spec, set_), notes(metadata)
    judge = Judge(out, parsed.gates, locked, report)
    judge.spec(parsed, lambda: importance_digest(importance, parsed))
    if url is None:
        result = _craft_here(
            judge, parsed, importance, output, limit, threads=threads, strict=strict
        )
    else:
        with connect(url) as client:
            work = _Order(client, noted, limit if wait else 0.0)
            result = _craft_there(judge, work, parsed, importance, output, strict=strict)
    if out.json:
        out.document(result | {"verdict": judge.verdict})
    elif output != "-":
        out.line(result["digest"] or result["job"]["id"])
    judge.end()


@commands.command(epilog=examples("raiw key raiw/vgg16-d16"))
def key(
    spec: SpecArgument,
    importance: ImportanceOption = None,
    set_: SetOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Print the content key: equal keys mean equal masks, so a pipeline can use it for caching."""
    out = Output(json=json, quiet=quiet)
    parsed = read_spec(spec, set_)
    digest = importance_digest(importance, parsed)
    content_key = parsed.content_key(digest)
    if out.json:
        algorithm = parsed.algorithm(scored=digest is not None)
        out.document({"content_key": content_key, "algorithm": algorithm, "importance": digest})
    else:
        out.line(content_key)


def plan_document(spec: "Spec", importance: Path | None = None) -> dict[str, Any]:
    """Return a plan as ``POST /v1/plan`` answers it; nothing is stored on this machine."""
    digest = importance_digest(importance, spec)
    planned = spec.plan(scored=digest is not None)
    return {**planned.to_json(), "content_key": spec.content_key(digest), "stored": False}


def write_masks(masks: "MaskSet", output: str) -> None:
    """Write a mask file, or its bytes to stdout."""
    if output == "-":
        sys.stdout.buffer.writelines(masks.chunks())
        sys.stdout.buffer.flush()
    else:
        masks.save(output)


def importance_digest(importance: Path | None, spec: "Spec") -> str | None:
    """Return the digest of an importance file that fits the spec."""
    if importance is None:
        return None
    from raiw.scores.importance import open_importance

    return open_importance(importance, spec).digest


def _check_output(output: str | None, report: Path | None, out: Output, *, detach: bool) -> None:
    if output is not None and detach:
        raise InvalidInput("--detach leaves no masks to write: drop -o, and raiw pull JOB later")
    if report is not None and detach:
        raise InvalidInput("--detach leaves no masks to report on: drop --report")
    if output == "-" and out.json:
        raise InvalidInput("-o - and --json both use stdout: write the masks to a file")
    if output not in (None, "-") and not Path(str(output)).absolute().parent.is_dir():
        raise InvalidInput(f"cannot write {output!r}: there is no such folder")


def _craft_here(
    judge: Judge,
    spec: "Spec",
    importance: Path | None,
    output: str | None,
    limit: float | None,
    *,
    threads: int | None,
    strict: bool,
) -> dict[str, Any]:
    out, planned = judge.out, spec.plan(scored=importance is not None)
    from raiw.pipeline import craft_masks

    began = time.monotonic()
    with LayerProgress(out, "crafting", len(planned.layers)) as progress:

        def on_layer(done: int, _total: int, mask: "Mask") -> None:
            out_side, in_side = mask.shape
            progress.show(done, f"{mask.name} {out_side}×{in_side}, {mask.edges:,} edges")

        def check() -> None:
            if limit is not None and time.monotonic() - began > limit:
                raise StillRunning(
                    f"not finished after {limit:g} s, and stopped; give a longer --timeout"
                )

        masks = craft_masks(
            spec, importance, strict=strict, threads=threads, on_layer=on_layer, check=check
        )
    if output is not None:
        write_masks(masks, output)
    _summarise(out, planned, output, f"crafted in {time.monotonic() - began:.1f} s")
    _note_ties(out, masks)
    judge.masks(lambda: masks)
    out.dead_units(masks.dead_units, strict=False)
    return {
        "digest": masks.digest,
        "file_sha256": masks.file_sha256,
        "bytes": masks.file_bytes,
        "content_key": spec.content_key(masks.importance),
        "dead_units": [units.model_dump() for units in masks.dead_units],
        "output": output,
        "cache": None,
        "job": None,
    }


@dataclass(frozen=True, slots=True)
class _Order:
    """How a server is asked."""

    client: "Client"
    metadata: dict[str, str]
    limit: float | None
    """Most seconds to wait; 0 only starts the job."""


def _craft_there(
    judge: Judge,
    work: _Order,
    spec: "Spec",
    importance: Path | None,
    output: str | None,
    *,
    strict: bool,
) -> dict[str, Any]:
    out, client, detached = judge.out, work.client, work.limit == 0.0
    planned = spec.plan(scored=importance is not None)
    out.dead_units(planned.dead_units if strict else [], strict=True)
    wait = 0 if detached else _QUICK_JOB_SECONDS
    job = client.craft(spec, importance, wait=wait, metadata=work.metadata)
    if detached:
        out.note(f"{job.cache} job, {job.status}; wait for it: raiw jobs wait {job.id}")
    else:
        if job.cache == "joined":
            out.note(f"joined job {job.id}, which somebody else has asked for")
        follow(out, client, job, work.limit)
        digest = job.require_digest()
        dead = _dead_units(job.view["result"])
        out.dead_units(dead if strict else [], strict=True)
        if output == "-":
            write_masks(client.masks(digest), output)
        elif output is not None:
            client.download(digest, output)
        judge.masks(lambda: client.masks(digest))
        _summarise(out, planned, output, f"{_CACHE_NOTES[str(job.cache)]} on {client.url}")
        out.dead_units(dead, strict=False)
    result = job.view["result"] or {}
    return {
        "digest": job.digest,
        "file_sha256": result.get("file_sha256"),
        "bytes": result.get("bytes"),
        "content_key": job.view["content_key"],
        "dead_units": result.get("dead_units"),
        "output": output,
        "cache": job.cache,
        "job": job.view,
    }


def _dead_units(answer: dict[str, Any]) -> "list[DeadUnits]":
    """Return the dead units named by a plan or a job's result; none from servers that are older."""
    from raiw.specs.dead import DeadUnits

    return [DeadUnits.model_validate(units) for units in answer.get("dead_units") or ()]


def _note_ties(out: Output, masks: "MaskSet") -> None:
    """Name the layers for which the scores decided little."""
    tied = [mask.name for mask in masks.values() if mask.tied]
    if tied:
        out.note(
            f"random draws among equal scores decided most edges of {len(tied)} of {len(masks)} "
            f"layers: {listed(tied)}"
        )


def _summarise(out: Output, planned: "Plan", output: str | None, how: str) -> None:
    kept = f"{planned.weights:,} of {planned.dense_weights:,} weights"
    where = f"wrote {output}" if output else "not saved: add -o FILE"
    out.note(f"{len(planned.layers)} layers, {kept}, {how}; {where}")
