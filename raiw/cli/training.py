"""``raiw train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli.examples import examples
from raiw.cli.networks import DataFolderOption, NetworkArgument
from raiw.cli.options import JsonOption, QuietOption, SetOption, changed
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress

if TYPE_CHECKING:
    from raiw.training.report import Epoch

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "raiw train digits-cnn --data digits --set epochs=2 --set augment=false -o run",
    )
)
def train(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: NetworkArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Checkpoint, weights and report."),
    ],
    data: Annotated[str, typer.Option(metavar="NAME", help="A data set: digits, cifar10 …")],
    masks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Masks to hold; dense without.")
    ] = None,
    data_dir: DataFolderOption = Path(),
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A recipe; RAIW's 300 epochs without.")
    ] = None,
    set_: SetOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides weights, order and crops.")] = 0,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1; a GPU if there is one.")
    ] = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network from scratch with its masks held; started again, it goes on where it was.

    torchrun -m raiw train … trains with several processes or GPUs.
    """
    from raiw import extras
    from raiw.specs.spec import read_document
    from raiw.training.recipe import Recipe

    out = Output(json=json, quiet=quiet)
    document: dict[str, Any] = {} if recipe is None else read_document(recipe)
    chosen = Recipe.parse(changed(document, set_))
    training = extras.load("raiw.training.train")
    with LayerProgress(out, "training", chosen.epochs, unit="epochs") as progress:

        def on_epoch(epoch: "Epoch", _total: int) -> None:
            words = f"loss {epoch.train_loss:.4f}, test accuracy {epoch.test_accuracy:.2%}"
            progress.show(epoch.epoch, words)

        trained = training.train(
            network,
            masks,
            data,
            data_dir=data_dir,
            recipe=chosen,
            seed=seed,
            folder=output,
            device=device,
            on_epoch=on_epoch,
        )
    trained.save(output)
    if trained.first:
        report = trained.report
        out.note(
            f"wrote {output}: {report.weights:,} of {report.dense_weights:,} weights, test "
            f"accuracy {report.accuracy:.2%} on {report.device}"
        )
        if out.json:
            out.document(report.to_json())
        else:
            out.line(f"{report.accuracy:.4f}")
