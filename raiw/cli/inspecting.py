"""``raiw show``, ``raiw verify`` and ``raiw export``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli import completing
from raiw.cli.documents import listing
from raiw.cli.examples import examples
from raiw.cli.exits import GATE
from raiw.cli.following import follow
from raiw.cli.options import (
    ImportanceOption,
    JsonOption,
    MasksArgument,
    QuietOption,
    ServerOption,
    TimeoutOption,
    connect,
    seconds,
)
from raiw.cli.output import Output, complain
from raiw.cli.progress import LayerProgress
from raiw.cli.sources import names_stored
from raiw.cli.writing import STDOUT, ForceOption, filled, target
from raiw.errors import InvalidInput
from raiw.names import check_name

if TYPE_CHECKING:
    from raiw.masks import MaskSet

commands = typer.Typer()

_FIRST_LINE_SECONDS = 2.0
_SHOWN_FAULTS = 20


@commands.command(
    epilog=examples(
        "raiw craft raiw/vgg16-d16 -o masks.safetensors",
        "raiw show masks.safetensors",
        "raiw show masks.safetensors --bytes",
    )
)
def show(
    masks: MasksArgument,
    server: ServerOption = None,
    *,
    bytes_: Annotated[
        bool,
        typer.Option(
            "--bytes", help="Show weights, operations and bytes in every export format instead."
        ),
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show every layer of masks: shape, edges, degrees, density, entropy, components, totals."""
    out = Output(json=json, quiet=quiet)
    opened = open_masks(masks, server)
    if out.quiet and not out.json:
        out.line(opened.digest)
        return
    out.dead_units(opened.dead_units, strict=False)
    if bytes_:
        _show_account(opened, out)
        return
    stats = {}
    with LayerProgress(out, "measuring", len(opened), first_line=_FIRST_LINE_SECONDS) as progress:
        for done, (name, mask) in enumerate(opened.items()):
            progress.show(done, name)
            stats[name] = mask.stats
    if out.json:
        out.document(
            {
                "digest": opened.digest,
                "file_sha256": opened.file_sha256,
                "bytes": opened.file_bytes,
                "document": opened.to_json(),
                "statistics": {"layers": {name: s.to_json() for name, s in stats.items()}},
            }
        )
    else:
        from raiw.cli.tables import layer_table

        table = layer_table(opened, stats)
        table.notes.append(opened.digest)
        out.tables(table)


@commands.command(
    epilog=examples(
        "raiw craft raiw/vgg16-d16 -o masks.safetensors",
        "raiw verify masks.safetensors --spec raiw/vgg16-d16",
    )
)
def verify(
    masks: MasksArgument,
    spec: Annotated[
        str | None,
        typer.Option("--spec", metavar="SPEC", help="The spec the masks must be crafted from."),
    ] = None,
    importance: ImportanceOption = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check masks against their own claims, and a spec and scores if given; exit 6 if wrong.

    Those on a server are checked there, by a job.
    """
    from raiw.verification import verify as check

    out = Output(json=json, quiet=quiet)
    if names_stored(masks):
        report = _verified_there(out, masks, spec, importance, server, timeout)
    else:
        report = check(open_masks(masks, server, verify=False), spec, importance).to_json()
    if out.json:
        out.document(report)
    else:
        for each in report["checks"]:
            out.note(f"{'ok    ' if each['ok'] else 'WRONG '} {each['name']}")
        faults = [fault for each in report["checks"] for fault in each["faults"]]
        for fault in faults[:_SHOWN_FAULTS]:
            complain(f"error: {fault}")
        out.line(report["digest"])
    if not report["ok"]:
        raise typer.Exit(GATE)


def _verified_there(
    out: Output,
    digest: str,
    spec: str | None,
    importance: Path | None,
    server: str | None,
    timeout: str | None,
) -> dict[str, Any]:
    with connect(server, seconds(timeout)) as client:
        job = client.verify(client.full_digest(digest), spec, importance)
        follow(out, client, job)
        job.require_digest()
        return job.report or {}


@commands.command(
    epilog=examples(
        "raiw craft raiw/vgg16-d16 -o masks.safetensors",
        "raiw export masks.safetensors --to npz -o masks.npz",
        "raiw export masks.safetensors --to hub -o digits-masks",
    ),
    cls=listing("form", "raiw.publishing", "PLACES"),
)
def export(
    masks: MasksArgument,
    form: Annotated[str, typer.Option("--to", metavar="FORM", autocompletion=completing.exports)],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Output file, - is stdout; a folder for hub, mlflow and wandb, or the address of "
            "MLflow's store.",
        ),
    ],
    server: ServerOption = None,
    *,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write masks in a form that other programs can read.

    hub is a folder with a model card for the Hugging Face Hub; mlflow and wandb are runs with
    parameters, metrics and the files of that folder.
    """
    from raiw.forms import FORMS
    from raiw.masks.export import parts
    from raiw.publishing import FOLDER, PLACES, RUNS, record

    out = Output(quiet=quiet)
    check_name(form, PLACES, "export form")
    if form in RUNS:
        _require_folder(form, output)
        out.note(record(open_masks(masks, server), form, output))
        return
    if form == FOLDER:
        _require_folder(form, output)
        _write_folder(open_masks(masks, server), Path(output), force=force)
        out.note(f"wrote {output}: hf upload OWNER/NAME {output}")
        return
    file = target(output, force=force, text=FORMS[form].text)
    pieces = parts(open_masks(masks, server), form)
    file.write(part.read() for part in pieces)
    out.note(f"wrote {output}")


def _require_folder(form: str, output: str) -> None:
    if output == STDOUT or Path(output).is_file():
        raise InvalidInput(f"{form} is no single file: give -o a folder, not {output!r}")


def _write_folder(masks: "MaskSet", folder: Path, *, force: bool) -> None:
    from raiw.files import write_atomically
    from raiw.publishing.files import files

    folder.mkdir(parents=True, exist_ok=True)
    contents = files(masks)
    with filled({name: target(folder / name, force=force) for name in contents}) as parts:
        for name, chunks in contents.items():
            write_atomically(parts[name], chunks)


def _show_account(masks: "MaskSet", out: Output) -> None:
    from raiw.accounting import FILES, account

    with LayerProgress(
        out, "encoding", len(FILES), first_line=_FIRST_LINE_SECONDS, unit="forms"
    ) as progress:
        found = account(masks, on_file=progress.show)
    if out.json:
        out.document({"digest": masks.digest, **found.to_json()})
        return
    from raiw.cli.tables import account_table

    table = account_table(found)
    table.notes.append(masks.digest)
    out.tables(table)


def open_masks(source: str, server: str | None, *, verify: bool = True) -> "MaskSet":
    """Read masks from a file, from stdin (``-``), or by digest from a server."""
    from raiw.masks import load

    if source == "-":
        return load(sys.stdin.buffer.read(), verify=verify)
    if names_stored(source):
        from raiw.cli.caching import cached_masks

        with connect(server) as client:
            return cached_masks(client.full_digest(source), client)
    return load(source, verify=verify)
