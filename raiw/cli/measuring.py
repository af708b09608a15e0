"""``raiw speed`` and ``raiw compact``."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raiw.canonical import is_digest
from raiw.cli.documents import JobCommand
from raiw.cli.doing import JobSite, do
from raiw.cli.examples import examples
from raiw.cli.inspecting import open_masks
from raiw.cli.naming import named_network, numbers
from raiw.cli.options import (
    ArgumentsOption,
    InputOption,
    JsonOption,
    LocalOption,
    MasksArgument,
    NetworkArgument,
    OwnWeightsOption,
    PriorityOption,
    PrunedOption,
    QuietOption,
    ServerOption,
    TimeoutOption,
    assigned,
    chosen_server,
)
from raiw.cli.output import Output
from raiw.cli.writing import ForceOption, target

if TYPE_CHECKING:
    from torch import nn

commands = typer.Typer()


@commands.command(
    cls=JobCommand,
    epilog=examples(
        "raiw craft raiw/digits-cnn-10 -o masks.safetensors",
        "raiw speed digits-cnn masks.safetensors --batch 1,64 --threads 1 --seconds 0.02",
    ),
)
def speed(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: NetworkArgument,
    masks: MasksArgument,
    batch: Annotated[str, typer.Option(metavar="SIZES")],
    seconds: Annotated[float, typer.Option(min=0.0)],
    repeat: Annotated[int, typer.Option(metavar="NUMBER", min=0)],
    weights: OwnWeightsOption = None,
    threads: Annotated[str | None, typer.Option(metavar="NUMBERS")] = None,
    input_: InputOption = None,
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    priority: PriorityOption = None,
    *,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure whether masks make a network faster, form by form and layer by layer.

    Dense layers and their compact forms take turns, and the shortest times count. With --server a
    worker's machine is measured, with masks that the server has.
    """
    from raiw.jobs.speed import SpeedJob

    out = Output(json=json, quiet=quiet)
    site = JobSite(chosen_server(server, local=local), Path(), timeout=timeout, priority=priority)
    with tempfile.TemporaryDirectory(prefix="raiw-") as folder:
        job = SpeedJob.parse(
            {
                "network": network,
                "arguments": assigned("--argument", argument),
                "channels": None if pruned is None else site.take(pruned),
                "weights": None if weights is None else site.take(weights),
                "masks": _digest(site, masks, server, Path(folder)),
                "input_shape": None if input_ is None else numbers("--input", input_),
                "batch": numbers("--batch", batch),
                "threads": None if threads is None else numbers("--threads", threads),
                "seconds": seconds,
                "repeat": repeat,
            }
        )
        report = do(out, job, site, {})
    if out.json:
        out.document(report)
    elif out.quiet:
        for each in report["runs"]:
            out.line(f"{each['speedup']:.2f}")
    else:
        from raiw.cli.tables import speed_table

        out.tables(*map(speed_table, report["runs"]))


def _digest(site: JobSite, masks: str, server: str | None, folder: Path) -> str:
    """Return the digest of masks; those measured on this machine are written to a folder."""
    if site.url is not None and is_digest(masks):
        return masks
    opened = open_masks(masks, server)
    if site.url is None:
        site.files[opened.digest] = folder / "masks.safetensors"
        opened.save(site.files[opened.digest])
    return opened.digest


@commands.command(
    epilog=examples(
        "raiw craft digits-cnn --set craft.density=0.2 --set craft.group_outputs=8 "
        "--set 'craft.rules=[{match: conv1, dense: true}, "
        "{match: head, dense: true, group_outputs: 1}]' -o masks.safetensors",
        "raiw compact digits-cnn masks.safetensors -o small.onnx",
    )
)
def compact(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: NetworkArgument,
    masks: MasksArgument,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="An ONNX file to write; - is stdout."),
    ],
    weights: OwnWeightsOption = None,
    input_: InputOption = None,
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    server: ServerOption = None,
    *,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a masked network to an ONNX file of standard operators, without the pruned weights.

    Layers whose outputs share their inputs become a gather and a grouped convolution or product.
    """
    from raiw import extras

    out = Output(json=json, quiet=quiet)
    file = target(output, force=force, json=json)
    opened = open_masks(masks, server)
    exporting = extras.load("raiw.compacting.onnx_file")
    import torch

    from raiw.compacting.compact import forms_of

    model, shape = _network(network, argument, pruned, weights, input_)
    with file.path() as path:
        forms = forms_of(exporting.export_onnx(model, opened, torch.randn(2, *shape), path))
        size = path.stat().st_size
    out.note(f"wrote {output}: {size:,} bytes, {len(forms)} of {len(opened)} layers compact")
    if out.json:
        out.document({"output": output, "bytes": size, "forms": forms})


def _network(
    name: str,
    arguments: list[str] | None,
    pruned: Path | None,
    weights: Path | None,
    shape: str | None,
) -> "tuple[nn.Module, tuple[int, ...]]":
    """Return a network in evaluation mode, and the shape of one input."""
    network = named_network(name, arguments, pruned, shape)
    inputs = network.example()
    model = network.initialised(None, 0) if weights is None else network.trained(weights)
    return model.eval(), tuple(inputs.shape[1:])
