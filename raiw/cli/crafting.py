"""``raiw plan``, ``raiw craft`` and ``raiw key``."""

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
    PriorityOption,
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
from raiw.cli.writing import ForceOption, Target, optional_target
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
    "created": "a new job",
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
        str | None,
        typer.Option(metavar="FILE", help="Write the plan for raiw diff, as JSON; - is stdout."),
    ] = None,
    *,
    force: ForceOption = False,
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
    file = optional_target(save, force=force, json=json, text=True)
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
    if file is not None:
        from raiw.specs.changes import plan_file

        file.write([plan_file(document)])
        out.note(f"wrote {file.name}")
    if file is not None and file.stdout:
        return
    if out.json:
        out.document(document)
    elif out.quiet:
        out.line(document["content_key"])
    else:
        from raiw.cli.tables import plan_table, prediction_table

        out.tables(plan_table(document), *map(prediction_table, document.get("speed", ())))


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
    force: ForceOption = False,
    locked: LockedOption = None,
    report: ReportOption = None,
    metadata: MetadataOption = None,
    priority: PriorityOption = None,
    local: LocalOption = False,
    strict: StrictOption = False,
    wait: Annotated[
        bool, typer.Option("--wait/--detach", help="Wait for the server's job, or just start it.")
    ] = True,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Craft masks, on this machine or, with --server or RAIW_URL, on a server: the same bytes.

    Prints the masks' content digest; with --detach the id of the job, and no gate is checked. Exits
    6 if the masks fail the spec's gates or are not those locked; they are written all the same.
    Nothing is crafted from a spec or scores that are not those locked.
    """
    out = Output(json=json, quiet=quiet)
    limit = seconds(timeout)
    url = chosen_server(server, local=local)
    if url is None and metadata:
        out.note("--metadata is kept with a server's job: crafted here, it is left out")
    if url is not None and threads is not None:
        raise InvalidInput("--threads is for this machine: a server's worker chooses its own")
    if not wait:
        _check_detached(output, report, url)
    file = optional_target(output, force=force, json=json)
    parsed, noted = read_spec(spec, set_), notes(metadata)
    judge = Judge(out, parsed.gates, locked, report)
    judge.spec(parsed, lambda: importance_digest(importance, parsed))
    if url is None:
        result = _craft_here(judge, parsed, importance, file, limit, threads=threads, strict=strict)
    else:
        with connect(url, limit) as client:
            work = _Order(client, noted, priority, wait=wait)
            result = _craft_there(judge, work, parsed, importance, file, strict=strict)
    if out.json:
        out.document(result | {"verdict": judge.verdict if wait else None})
    elif not wait:
        out.line(result["job"]["id"])
    elif file is None or not file.stdout:
        out.line(result["digest"])
    if wait:
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


def importance_digest(importance: Path | None, spec: "Spec") -> str | None:
    """Return the digest of an importance file that fits the spec."""
    if importance is None:
        return None
    from raiw.scores.importance import open_importance

    return open_importance(importance, spec).digest


def _check_detached(output: str | None, report: Path | None, url: str | None) -> None:
    if url is None:
        raise InvalidInput("--detach starts a job on a server: give --server URL, or set RAIW_URL")
    if output is not None:
        raise InvalidInput("--detach leaves no masks to write: drop -o, and raiw pull JOB later")
    if report is not None:
        raise InvalidInput("--detach leaves no masks to report on: drop --report")


def _craft_here(
    judge: Judge,
    spec: "Spec",
    importance: Path | None,
    output: Target | None,
    limit: float | None,
    *,
    threads: int | None,
    strict: bool,
) -> dict[str, Any]:
    out, planned = judge.out, spec.plan(scored=importance is not None)
    from raiw.files import require_room
    from raiw.pipeline import craft_masks

    if output is not None and output.folder is not None:
        # The masks lie there twice for a moment: as they are crafted, and in the file.
        require_room(output.folder, 2 * planned.mask_bytes)
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
            spec,
            importance,
            strict=strict,
            threads=threads,
            on_layer=on_layer,
            check=check,
            spool=None if output is None else output.folder,
        )
    if output is not None:
        output.write(masks.chunks())
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
        "output": output and output.name,
        "cache": None,
        "job": None,
    }


@dataclass(frozen=True, slots=True)
class _Order:
    """How a server is asked."""

    client: "Client"
    metadata: dict[str, str]
    priority: str | None
    wait: bool
    """Whether its masks are waited for; else the job is only started."""


def _craft_there(
    judge: Judge,
    work: _Order,
    spec: "Spec",
    importance: Path | None,
    output: Target | None,
    *,
    strict: bool,
) -> dict[str, Any]:
    out, client = judge.out, work.client
    planned = spec.plan(scored=importance is not None)
    out.dead_units(planned.dead_units if strict else [], strict=True)
    quick = min(_QUICK_JOB_SECONDS, client.left / 4) if work.wait else 0
    asked: Any = {"metadata": work.metadata, "priority": work.priority}
    job = client.craft(spec, importance, wait=quick, **asked)
    if not work.wait:
        then = f"raiw pull {job.id} -o FILE" if job.done else f"raiw jobs wait {job.id}"
        out.note(f"{_CACHE_NOTES[str(job.cache)]}, {job.status}; then: {then}")
    else:
        if job.cache == "joined":
            out.note(f"joined job {job.id}, which somebody else has asked for")
        follow(out, client, job)
        digest = job.require_digest()
        dead = _dead_units(job.view["result"])
        out.dead_units(dead if strict else [], strict=True)
        if output is not None:
            with output.path() as path:
                client.download(digest, path)
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
        "output": output and output.name,
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


def _summarise(out: Output, planned: "Plan", output: Target | None, how: str) -> None:
    kept = f"{planned.weights:,} of {planned.dense_weights:,} weights"
    where = f"wrote {output.name}" if output else "not saved: add -o FILE"
    out.note(f"{len(planned.layers)} layers, {kept}, {how}; {where}")
