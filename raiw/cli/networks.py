"""``raiw score``, ``raiw prune`` and ``raiw train``: what is done to networks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.canonical import canonical_json, is_digest
from raiw.cli.data import local_data, remote_data
from raiw.cli.examples import examples
from raiw.cli.following import epoch_words, follow
from raiw.cli.options import (
    DATA_HELP,
    DataFolderOption,
    JsonOption,
    LocalOption,
    NetworkArgument,
    OptionsOption,
    QuietOption,
    SamplesOption,
    ServerOption,
    SetOption,
    TimeoutOption,
    WeightsOption,
    changed,
    chosen_server,
    connect,
    seconds,
)
from raiw.cli.output import Output
from raiw.cli.progress import LayerProgress
from raiw.errors import InvalidInput
from raiw.files import write_atomically

if TYPE_CHECKING:
    from raiw.client import Client, Job
    from raiw.jobs.samples import OnStep
    from raiw.training.recipe import Recipe
    from raiw.training.report import Epoch

commands = typer.Typer()

DataOption = Annotated[str | None, typer.Option("--data", metavar="NAME", help=DATA_HELP)]
DeviceOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1; a GPU if there is one.")
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
    device: DeviceOption = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    *,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score every edge of a trained network; writes the file that raiw craft -i takes."""
    out, url = Output(json=json, quiet=quiet), chosen_server(server, local=local)
    task: dict[str, Any] = {
        "method": method,
        "samples": samples,
        "seed": seed,
        "options": _options(option),
    }
    if url is None:
        from raiw import extras

        opened = None if data is None else local_data(data, data_dir)
        task["device"] = device
        with LayerProgress(out, "scoring", 1, first_line=2, unit="steps") as progress:
            task["on_step"] = _step(progress)
            scores = extras.load("raiw.jobs.score").score_network(network, weights, opened, **task)
        scores.save(output)
        report = {"layers": len(scores), **scores.provenance}
    else:
        _refuse_device(device)
        with connect(url) as client:
            job = client.score(network, weights, data and remote_data(data), **task)
            _finish(out, client, job, timeout)
            client.fetch_files(job, {"scores": output})
            report = job.report or {}
    out.note(f"wrote {output}: {report['layers']} layers by {method}")
    if out.json:
        out.document({"output": str(output), **report})


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
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    *,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove channels of a trained network; writes the weights of the one that is smaller."""
    out, url = Output(json=json, quiet=quiet), chosen_server(server, local=local)
    task: dict[str, Any] = {"method": method, "samples": samples, "options": _options(option)}
    if url is None:
        from raiw import extras

        opened = None if data is None else local_data(data, data_dir)
        with LayerProgress(out, "pruning", 1, first_line=2, unit="steps") as progress:
            task["on_step"] = _step(progress)
            found = extras.load("raiw.jobs.prune").prune_network(network, weights, opened, **task)
        found.save(output)
        if channels is not None:
            found.pruned.channels.save(channels)
        report = found.to_json()
    else:
        with connect(url) as client:
            job = client.prune(network, weights, data and remote_data(data), **task)
            _finish(out, client, job, timeout)
            wanted = {"weights": output} | ({"channels": channels} if channels else {})
            client.fetch_files(job, wanted)
            report = job.report or {}
    kept = f"{report['weights']:,} of {report['dense_weights']:,} weights"
    out.note(f"wrote {output}: {kept}, {method}")
    if report["accuracy"] is not None:
        out.note(f"test accuracy {report['accuracy']:.2%}, before {report['dense_accuracy']:.2%}")
    if out.json:
        out.document({"output": str(output), **report})


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
    data: Annotated[str, typer.Option(metavar="NAME", help=DATA_HELP)],
    masks: Annotated[
        str | None, typer.Option(metavar="FILE", help="Masks to hold, or their digest on a server.")
    ] = None,
    data_dir: DataFolderOption = Path(),
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A recipe; RAIW's 300 epochs without.")
    ] = None,
    set_: SetOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides weights, order and crops.")] = 0,
    device: DeviceOption = None,
    server: ServerOption = None,
    timeout: TimeoutOption = None,
    *,
    local: LocalOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network from scratch with its masks held; started again, it goes on where it was.

    torchrun -m raiw train … trains with several processes or GPUs.
    """
    from raiw.readers.documents import read_document
    from raiw.training.recipe import Recipe

    out, url = Output(json=json, quiet=quiet), chosen_server(server, local=local)
    document: dict[str, Any] = {} if recipe is None else read_document(recipe)
    chosen = Recipe.parse(changed(document, set_))
    if url is None:
        report = _train_here(
            out, network, masks, data, data_dir, recipe=chosen, seed=seed, folder=output,
            device=device,
        )  # fmt: skip
        if report is None:
            return
    else:
        _refuse_device(device)
        with connect(url) as client:
            task: dict[str, Any] = {"recipe": chosen.model_dump(mode="json"), "seeds": [seed]}
            held = None if masks is None else masks_digest(masks)
            job = client.train(network, remote_data(data), masks=held, **task)
            _finish(out, client, job, timeout)
            (report,) = (job.report or {})["runs"]
            output.mkdir(parents=True, exist_ok=True)
            client.fetch_files(job, {f"weights-seed-{seed}": output / "weights.safetensors"})
            write_atomically(output / "report.json", [canonical_json(report).encode()])
    out.note(
        f"wrote {output}: {report['weights']:,} of {report['dense_weights']:,} weights, test "
        f"accuracy {report['accuracy']:.2%}"
    )
    if out.json:
        out.document(report)
    else:
        out.line(f"{report['accuracy']:.4f}")


def masks_digest(masks: str) -> str:
    """Return the content digest of masks given as a file, or as the digest itself."""
    if is_digest(masks):
        return masks
    from raiw.masks import load

    return load(masks).digest


def _train_here(  # noqa: PLR0913 -- what decides a run
    out: Output,
    network: str,
    masks: str | None,
    data: str,
    data_dir: Path,
    *,
    recipe: "Recipe",
    seed: int,
    folder: Path,
    device: str | None,
) -> dict[str, Any] | None:
    """Train on this machine; None in the processes that are not the first."""
    from raiw import extras

    training = extras.load("raiw.training.train")
    with LayerProgress(out, "training", recipe.epochs, unit="epochs") as progress:

        def on_epoch(epoch: "Epoch", _total: int) -> None:
            progress.show(epoch.epoch, epoch_words(seed, epoch.train_loss, epoch.test_accuracy))

        trained = training.train(
            network,
            masks,
            local_data(data, data_dir),
            recipe=recipe,
            seed=seed,
            folder=folder,
            device=device,
            on_epoch=on_epoch,
        )
    trained.save(folder)
    report: dict[str, Any] = trained.report.to_json()
    return report if trained.first else None


def _step(progress: LayerProgress) -> "OnStep":
    return lambda done, of, what: progress.show(0, f"{done} of {of} {what}")


def _refuse_device(device: str | None) -> None:
    if device is not None:
        raise InvalidInput("--device is for this machine: a server's worker chooses by itself")


def _finish(out: Output, client: "Client", job: "Job", timeout: str | None) -> None:
    """Wait for a job to succeed."""
    follow(out, client, job, seconds(timeout))
    job.require_digest()


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
