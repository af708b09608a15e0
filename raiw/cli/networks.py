"""``raiw score`` and ``raiw prune``: importance and channels of trained networks."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption
from raiw.cli.output import Output
from raiw.errors import InvalidInput

if TYPE_CHECKING:
    import torch

commands = typer.Typer()

NetworkArgument = Annotated[str, typer.Argument(metavar="NETWORK", help="Such as lenet-mnist.")]
WeightsOption = Annotated[
    Path, typer.Option("--weights", "-w", metavar="FILE", help="State dict, safetensors.")
]
DataOption = Annotated[
    str | None, typer.Option("--data", metavar="NAME", help="A data set: digits, cifar10 …")
]
DataFolderOption = Annotated[
    Path, typer.Option("--data-dir", metavar="FOLDER", help="Where data sets lie.")
]
SamplesOption = Annotated[int, typer.Option(min=1, help="Training images to look at.")]
OptionsOption = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="An option of the method; repeatable."),
]
_BATCH = 100


@commands.command(
    epilog=examples(
        "raiw score digits-cnn -w weights.safetensors --data digits -o scores.safetensors"
    )
)
def score(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: NetworkArgument,
    weights: WeightsOption,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to.")],
    method: Annotated[str, typer.Option("--method", "-m", help="gradient, snip …")] = "gradient",
    data: DataOption = None,
    data_dir: DataFolderOption = Path(),
    samples: SamplesOption = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the score random.")] = 0,
    option: OptionsOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score every edge of a trained network; writes the file that raiw craft -i takes."""
    from raiw import extras

    scoring, nets = extras.load("raiw.importance.scoring"), extras.load("raiw.nets.weights")
    out = Output(json=json, quiet=quiet)
    batches = None if data is None else list(_batches(network, data, data_dir, samples))
    model = nets.trained(network, weights)
    scores = scoring.score(model, method, batches, seed=seed, **_options(option))
    scores.save(output)
    out.note(f"wrote {output}: {len(scores)} layers by {method}")
    if out.json:
        out.document({"output": str(output), **scores.provenance})


@commands.command(
    epilog=examples(
        "raiw prune digits-cnn -w weights.safetensors -m l1_filter --option channel_sparsity=0.5 "
        "-o small.safetensors"
    )
)
def prune(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: NetworkArgument,
    weights: WeightsOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Weights of the smaller network.")
    ],
    method: Annotated[str, typer.Option("--method", "-m", help="afie, entropic …")] = "entropic",
    data: DataOption = None,
    data_dir: DataFolderOption = Path(),
    samples: SamplesOption = 1000,
    channels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write which channels stay, too.")
    ] = None,
    option: OptionsOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove channels of a trained network; writes the weights of the one that is smaller."""
    from raiw import extras
    from raiw.files import write_atomically
    from raiw.nets.registry import find_net
    from raiw.pruning.methods import method as find_method

    out = Output(json=json, quiet=quiet)
    if find_method(method).needs_data and data is None:
        raise InvalidInput(f"{method!r} needs samples: give --data, such as digits")
    pruning, nets = extras.load("raiw.pruning.prune"), extras.load("raiw.nets.weights")
    import torch
    from safetensors.torch import save

    model = nets.trained(network, weights)
    inputs = torch.zeros(2, *find_net(network).input_shape)
    batches = data and [images for images, _ in _batches(network, data, data_dir, samples)]
    found = pruning.prune(model, method, inputs, data=batches or None, **_options(option))
    write_atomically(output, [save(found.smaller.state_dict())])
    if channels is not None:
        found.channels.save(channels)
    before, after = _weights(model), _weights(found.smaller)
    out.note(f"wrote {output}: {after:,} of {before:,} weights, {method}")
    if out.json:
        facts = {"output": str(output), "weights": after, "dense_weights": before}
        out.document(facts | found.channels.to_json())


def _batches(
    network: str, name: str, folder: Path, samples: int
) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
    """Yield images and labels of the training split, in an order of no meaning."""
    import torch

    from raiw.nets.registry import find_net
    from raiw.training.data.batches import batches
    from raiw.training.data.registry import open_dataset

    dataset, wanted = open_dataset(name, folder), find_net(network).input_shape
    if dataset.shape != wanted:
        raise InvalidInput(f"{network!r} takes images of {wanted}, {name!r} has {dataset.shape}")
    left = samples
    for images, labels in batches(dataset, _BATCH, seed=0, epoch=0, augment=False):
        yield torch.from_numpy(images)[:left], torch.from_numpy(labels)[:left]
        left -= len(labels)
        if left <= 0:
            return


def _options(given: list[str] | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidInput(f"--option {text!r}: write NAME=VALUE")
        try:
            options[name] = float(value) if "." in value or "e" in value else int(value)
        except ValueError:
            options[name] = value
    return options


def _weights(model: "torch.nn.Module") -> int:
    return sum(p.numel() for name, p in model.named_parameters() if name.endswith("weight"))
