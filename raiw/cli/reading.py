"""``raiw spec``."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from raiw.cli.examples import examples
from raiw.cli.naming import named_network
from raiw.cli.options import (
    ArgumentsOption,
    InputOption,
    JsonOption,
    PrunedOption,
    QuietOption,
    ServerOption,
    connect,
)
from raiw.cli.output import Output
from raiw.cli.sources import names_stored
from raiw.cli.writing import ForceOption, optional_target
from raiw.errors import InvalidInput, NotFound
from raiw.readers.layers import Reading

commands = typer.Typer()

_SHOWN = 5
_TORCH = {".bin", ".ckpt", ".pt", ".pth"}


@commands.command(
    epilog=examples(
        "raiw spec weights.safetensors --density 0.1 -o spec.yaml",
        "raiw craft spec.yaml -o masks.safetensors",
    )
)
def spec(  # noqa: PLR0913, PLR0917 -- each argument is an option of the command
    source: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="safetensors, .onnx, a .pt state dict, a name that raiw networks lists, or the "
            "digest of safetensors on the server.",
        ),
    ],
    density: Annotated[
        float | None, typer.Option(min=0, max=1, help="Kept edges over all, in every layer.")
    ] = None,
    transposed: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Layers that store their inputs first; repeatable."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the spec there; - is stdout."),
    ] = None,
    argument: ArgumentsOption = None,
    pruned: PrunedOption = None,
    input_: InputOption = None,
    server: ServerOption = None,
    *,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read a network's layers from its file or name; prints a spec, dense without --density."""
    from raiw import catalogue
    from raiw.specs.spec import Spec

    out = Output(json=json, quiet=quiet)
    target = optional_target(output, force=force, json=json, text=True)
    known = None if pruned else catalogue.read(source)
    file = known is None and Path(source).is_file()
    if transposed and (known or source.endswith(".onnx")):
        raise InvalidInput(f"--transposed is for checkpoints: {source} tells directions itself")
    if known is not None:
        reading = Reading(known["layers"])
    elif file:
        reading = _read(source, transposed or [])
    elif names_stored(source):
        reading = _uploaded(source, transposed or [], server)
    else:
        reading = _named(source, argument, pruned, input_)
    preset = {} if known is None else known.get("craft", {})
    craft = preset if density is None else {"density": density}
    if reading.rules:
        craft = {"density": 1.0} | craft | {"rules": reading.rules}
    made = Spec.of_layers(reading.layers, craft, Path(source).stem if file else source)
    if reading.assumed:
        out.note(f"assumed: {reading.assumed} (see --transposed)")
    if reading.doubts:
        out.note(f"taken for granted: {reading.doubts}")
    _tell(out, "left out", reading.skipped.items())
    _tell(out, "kept dense", ((rule.match, rule.note) for rule in made.craft.rules if rule.dense))
    out.spec(made, target)


def _read(source: str, transposed: list[str]) -> Reading:
    from raiw import extras
    from raiw.readers.checkpoints import read_shapes, shapes_of_file, shapes_of_state

    suffix = Path(source).suffix
    if suffix == ".onnx":
        from_onnx: Reading = extras.load("raiw.readers.onnx_file").read(source)
        return from_onnx
    if suffix not in _TORCH:
        return read_shapes(shapes_of_file(source), transposed)
    state = extras.load("raiw.nets.checkpoint").load_state(source)
    return read_shapes(shapes_of_state(state), transposed)


def _uploaded(digest: str, transposed: list[str], server: str | None) -> Reading:
    with connect(server) as client:
        view = client.spec_of(digest, transposed=transposed)
    return Reading(view["spec"]["layers"], view["skipped"], view["assumed"], view["doubts"])


def _named(
    source: str, arguments: list[str] | None, pruned: Path | None, shape: str | None
) -> Reading:
    """Read the layers of a network by its name, with positions where its input is known."""
    from raiw.readers.modules import read_weights, tied_rules

    network = named_network(source, arguments, pruned, shape)
    try:
        # Other arguments may mean other inputs than those that the network states without any.
        size = network.input_shape if arguments else network.known_shape()
        found = read_weights(network.initialised(None, 0), size)
    except NotFound as error:
        raise NotFound(f"no file {source!r}, and {error.message}") from None
    doubts = [f"{layer.name}: {layer.doubt}" for layer in found.layers if layer.doubt]
    return Reading(
        [layer.to_document() for layer in found.layers],
        found.unusable,
        doubts="; ".join(doubts),
        rules=tied_rules(found.layers),
    )


def _tell(out: Output, what: str, reasons: Iterable[tuple[str, str]]) -> None:
    """Say what happened to weights, one line for each reason."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons:
        names.setdefault(reason, []).append(name)
    for reason, alike in names.items():
        more = f" and {len(alike) - _SHOWN} more" if len(alike) > _SHOWN else ""
        why = f" ({reason})" if reason else ""
        out.note(f"{what}: {', '.join(alike[:_SHOWN])}{more}{why}")
