"""``raiw score``, ``raiw prune`` and ``raiw train``: what is done to networks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.canonical import canonical_json, is_digest
from raiw.cli import completing
from raiw.cli.documents import JobCommand
from raiw.cli.doing import JobSite, do
from raiw.cli.examples import examples
from raiw.cli.following import epoch_words
from raiw.cli.options import (
    DATA_HELP,
    ArgumentsOption,
    DataFolderOption,
    DataOption,
    DeviceOption,
    JsonOption,
    LocalOption,
    NetworkArgument,
    OptionsOption,
    OwnWeightsOption,
    PriorityOption,
    PrunedOption,
    QuietOption,
    RecipeSetOption,
    SamplesOption,
    SeedOption,
    ServerOption,
    TimeoutOption,
    WeightsOption,
    assigned,
    changed,
    chosen_server,
)
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress
from raiw.cli.writing import ForceOption, filled, target
from raiw.files import write_atomically

if TYPE_CHECKING:
    from raiw.jobs.train import TrainJob
    from raiw.masks import MaskSet
    from raiw.training.recipe import Recipe
    from raiw.training.report import Epoch

commands = typer.Typer()


@commands.command(
    cls=JobCommand,
    epilog=examples(
        "raiw score digits-cnn -w weights.safetensors --data digits -o scores.safetensors"
    ),
)
def score(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: NetworkArgument,
    weights: WeightsOption,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Output file; - is stdout.")
    ],
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="NAME", autocompletion=completing.scores)
    ],
    data: DataOption,
    samples: SamplesOption,
    seed: SeedOption,
    data_dir: DataFolderOption = Path(),
    option: OptionsOption = None,
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    device: DeviceOption = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    priority: PriorityOption = None,
    *,
    force: ForceOption = False,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score every edge of a trained network; writes the file that raiw craft -i takes."""
    from raiw.jobs.score import ScoreJob

    out = Output(json=json, quiet=quiet)
    file = target(output, force=force, json=json)
    site = JobSite(chosen_server(server, local=local), data_dir, device, timeout, priority)
    job = ScoreJob.parse(
        {
            **asked(site, network, argument, pruned),
            "weights": site.take(weights),
            "data": data and site.take_data(data),
            "method": method,
            "options": assigned("--option", option),
            "samples": samples,
            "seed": seed,
        }
    )
    with file.path() as path:
        report = do(out, job, site, {"scores": path})
    out.note(f"wrote {output}: {report['layers']} layers by {method}")
    if out.json:
        out.document({"output": output, **report})


@commands.command(
    cls=JobCommand,
    epilog=examples(
        "raiw prune digits-cnn -w weights.safetensors -m l1_filter --option channel_sparsity=0.5 "
        "-o small.safetensors"
    ),
)
def prune(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: NetworkArgument,
    weights: WeightsOption,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Weights of the smaller network; - is stdout."
        ),
    ],
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="NAME", autocompletion=completing.pruning)
    ],
    data: DataOption,
    samples: SamplesOption,
    steps: Annotated[int, typer.Option(metavar="NUMBER")],
    seed: SeedOption,
    data_dir: DataFolderOption = Path(),
    channels: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write which channels are kept.")
    ] = None,
    option: OptionsOption = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="LAYER=SHARE",
            help="Share of its filters that a layer keeps, as in conv*=0.5; repeatable.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Recipe to train by after each step; nothing without."),
    ] = None,
    set_: RecipeSetOption = None,
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    device: DeviceOption = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    priority: PriorityOption = None,
    *,
    force: ForceOption = False,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove channels of a trained network; writes the weights of the smaller network.

    With a recipe, or --set, what is left is trained; with --steps by turns, a part at a time.
    """
    from raiw.jobs.prune import PruneJob

    out = Output(json=json, quiet=quiet)
    files = {"weights": target(output, force=force, json=json)}
    if channels is not None:
        files["channels"] = target(channels, force=force, json=json)
    site = JobSite(chosen_server(server, local=local), data_dir, device, timeout, priority)
    trains = recipe is not None or bool(set_)
    job = PruneJob.parse(
        {
            **asked(site, network, argument, pruned),
            "weights": site.take(weights),
            "data": data and site.take_data(data),
            "method": method,
            "options": assigned("--option", option),
            "samples": samples,
            "keep": assigned("--keep", keep),
            "steps": steps,
            "recipe": recipe_of(recipe, set_) if trains else None,
            "seed": seed,
        }
    )
    with filled(files) as paths:
        report = do(out, job, site, paths)
    for step in report.get("steps", ()):
        out.note(
            f"step {step['step']}: {step['weights']:,} weights, test accuracy "
            f"{step['accuracy']:.2%}, {step['pruned_accuracy']:.2%} before training"
        )
    kept = f"{report['weights']:,} of {report['dense_weights']:,} weights"
    out.note(f"wrote {output}: {kept}, {method}")
    if "ms" in report:  # older servers do not measure
        out.note(
            f"{report['flops']:,} of {report['dense_flops']:,} operations, {report['bytes']:,} of "
            f"{report['dense_bytes']:,} bytes, {report['ms']:.3g} ms for one input, before "
            f"{report['dense_ms']:.3g}"
        )
    if report["accuracy"] is not None:
        out.note(f"test accuracy {report['accuracy']:.2%}, before {report['dense_accuracy']:.2%}")
    if out.json:
        out.document({"output": output, **report})


@commands.command(
    cls=JobCommand,
    epilog=examples(
        "raiw train digits-cnn --data digits --set epochs=2 --set augment=false -o run",
    ),
)
def train(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    network: NetworkArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Checkpoint, weights and report."),
    ],
    data: Annotated[
        str, typer.Option(metavar="NAME", help=DATA_HELP, autocompletion=completing.data)
    ],
    masks: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Masks to train with, or their digest on a server."),
    ] = None,
    data_dir: DataFolderOption = Path(),
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A recipe file; X-Net's 300 epochs without."),
    ] = None,
    set_: RecipeSetOption = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Decides first weights, order of images and crops."),
    ] = None,
    weights: OwnWeightsOption = None,
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    device: DeviceOption = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    priority: PriorityOption = None,
    *,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network with its masks held; started again, it goes on where it was.

    It begins from scratch, or with --weights from those. torchrun -m raiw train … trains with
    several processes or GPUs.
    """
    from raiw.jobs.train import TrainJob
    from raiw.masks import load

    out = Output(json=json, quiet=quiet)
    site = JobSite(chosen_server(server, local=local), data_dir, device, timeout, priority)
    held = None if masks is None or is_digest(masks) else load(masks)
    job = TrainJob.parse(
        {
            **asked(site, network, argument, pruned),
            "weights": None if weights is None else site.take(weights),
            "masks": masks if held is None else held.digest,
            "data": site.take_data(data),
            "recipe": recipe_of(recipe, set_),
        }
        | ({} if seed is None else {"seeds": (seed,)})
    )
    if site.url is None:
        report = _train_here(out, job, held or masks, site, output)
    else:
        report = _train_there(out, job, site, output)
    if report is None:
        return
    out.note(
        f"wrote {output}: {report['weights']:,} of {report['dense_weights']:,} weights, test "
        f"accuracy {report['accuracy']:.2%}"
    )
    if out.json:
        out.document(report)
    else:
        out.line(f"{report['accuracy']:.4f}")


def _train_here(
    out: Output, job: "TrainJob", masks: "MaskSet | str | None", site: JobSite, folder: Path
) -> dict[str, Any] | None:
    """Train on this machine; None in the processes that are not the first."""
    from raiw import extras
    from raiw.masks import load

    training, running = map(extras.load, ("raiw.training.train", "raiw.jobs.run_train"))
    from raiw.training.data.registry import open_dataset

    (seed,) = job.seeds
    data = open_dataset(job.data, site.data_dir)
    held = load(masks) if isinstance(masks, str) else masks
    network = running.NamedNetwork.of(job, site.files.__getitem__, data)
    with LayerProgress(out, "training", job.total, unit="epochs") as progress:

        def on_epoch(epoch: "Epoch", _total: int) -> None:
            progress.show(epoch.epoch, epoch_words(seed, epoch.train_loss, epoch.test_accuracy))

        weights = job.weights and site.files[job.weights]
        trained = training.train(
            running.first_weights(network, weights, held, job.recipe, seed),
            held,
            data,
            recipe=job.recipe,
            seed=seed,
            folder=folder,
            device=site.device,
            on_epoch=on_epoch,
            name=job.network,
        )
    trained.save(folder)
    report: dict[str, Any] = trained.report.to_json()
    return report if trained.first else None


def _train_there(out: Output, job: "TrainJob", site: JobSite, folder: Path) -> dict[str, Any]:
    """Train on a server; the folder is as after training here, but without the checkpoint."""
    from raiw.jobs.registry import KINDS

    folder.mkdir(parents=True, exist_ok=True)
    files = {KINDS[job.kind].main_file(job): folder / "weights.safetensors"}
    if job.recipe.dynamics is not None:
        files[f"masks-seed-{job.seeds[0]}"] = folder / "masks.safetensors"
    (report,) = do(out, job, site, files)["runs"]
    write_atomically(folder / "report.json", [canonical_json(report).encode()])
    return dict(report)


def recipe_of(file: Path | None, changes: list[str] | None) -> "Recipe":
    """Return the recipe of a file, or the default one, changed."""
    from raiw.readers.documents import read_document
    from raiw.training.recipe import Recipe

    document: dict[str, Any] = {} if file is None else read_document(file)
    return Recipe.parse(changed(document, changes))


def asked(
    site: JobSite, network: str, arguments: list[str] | None, pruned: Path | None
) -> dict[str, Any]:
    """Return the fields of a document that say which network is meant."""
    return {
        "network": network,
        "arguments": assigned("--argument", arguments),
        "channels": None if pruned is None else site.take(pruned),
    }
