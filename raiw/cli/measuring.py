"""``raiw speed`` and ``raiw compact``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raiw.cli.examples import examples
from raiw.cli.inspecting import open_masks
from raiw.cli.naming import named_network, numbers
from raiw.cli.options import (
    ArgumentsOption,
    InputOption,
    JsonOption,
    MasksArgument,
    NetworkArgument,
    OwnWeightsOption,
    PrunedOption,
    QuietOption,
    ServerOption,
)
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress
from raiw.cli.writing import ForceOption, target

if TYPE_CHECKING:
    from torch import nn

commands = typer.Typer()

_FIRST_LINE_SECONDS = 2.0


@commands.command(
    epilog=examples(
        "raiw craft raiw/digits-cnn-10 -o masks.safetensors",
        "raiw speed digits-cnn masks.safetensors --batch 1,64 --threads 1 --seconds 0.02",
    )
)
def speed(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: NetworkArgument,
    masks: MasksArgument,
    weights: OwnWeightsOption = None,
    batch: Annotated[
        str, typer.Option(metavar="SIZES", help="Batch sizes, separated by commas.")
    ] = "1,64",
    threads: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS", help="Thread counts, separated by commas; torch's without."
        ),
    ] = None,
    input_: InputOption = None,
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="Time to spend on each layer.")] = 0.2,
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure on this machine whether masks make a network faster, form by form and layer by layer.

    Dense layers and their compact forms take turns, and the shortest times count.
    """
    from raiw import extras

    out = Output(json=json, quiet=quiet)
    opened = open_masks(masks, server)
    extras.load("raiw.compacting.speed")
    import torch

    from raiw.compacting.speed import measure_speed

    model, shape = _network(network, argument, pruned, weights, input_)
    sizes = numbers("--batch", batch)
    counts = numbers("--threads", threads or str(torch.get_num_threads()))
    runs = [(size, count) for count in counts for size in sizes]
    found = []
    with LayerProgress(
        out, "measuring", len(runs) * len(opened), first_line=_FIRST_LINE_SECONDS
    ) as progress:
        for number, (size, count) in enumerate(runs):

            def show(done: int, name: str, before: int = number * len(opened)) -> None:
                progress.show(before + done, name)

            found.append(
                measure_speed(model, opened, shape, size, count, seconds=seconds, on_layer=show)
            )
    if out.json:
        out.document({"digest": opened.digest, "runs": [each.to_json() for each in found]})
        return
    from raiw.cli.tables import speed_table

    if out.quiet:
        for each in found:
            out.line(f"{each.speedup:.2f}")
    else:
        out.tables(*(speed_table(each) for each in found))


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
