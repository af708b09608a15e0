"""``raiw score`` and ``raiw prune``: importance and channels of trained networks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption
from raiw.cli.output import Output
from raiw.errors import InvalidInput

if TYPE_CHECKING:
    from raiw.training.data.dataset import Dataset

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

    tasks, out = extras.load("raiw.tasks"), Output(json=json, quiet=quiet)
    scores = tasks.score_network(
        network,
        weights,
        _dataset(data, data_dir),
        method,
        samples=samples,
        seed=seed,
        options=_options(option),
    )
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

    tasks, out = extras.load("raiw.tasks"), Output(json=json, quiet=quiet)
    found = tasks.prune_network(
        network,
        weights,
        _dataset(data, data_dir),
        method,
        samples=samples,
        options=_options(option),
    )
    from safetensors.torch import save

    write_atomically(output, [save(found.pruned.smaller.state_dict())])
    if channels is not None:
        found.pruned.channels.save(channels)
    out.note(f"wrote {output}: {found.weights:,} of {found.dense_weights:,} weights, {method}")
    if found.accuracy is not None:
        out.note(f"test accuracy {found.accuracy:.2%}, before {found.dense_accuracy:.2%}")
    if out.json:
        out.document({"output": str(output), **found.to_json()})


def _dataset(name: str | None, folder: Path) -> "Dataset | None":
    from raiw.training.data.registry import open_dataset

    return None if name is None else open_dataset(name, folder)


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
