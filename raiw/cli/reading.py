"""``raiw spec``."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption
from raiw.cli.output import Output
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
def spec(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK", help="safetensors, .onnx, a .pt state dict, or a catalogue name."
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
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the spec there.")
    ] = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Read a network's layers from its file or name; prints a spec, dense without --density."""
    from raiw import catalogue
    from raiw.specs.spec import Spec

    out = Output(json=json, quiet=quiet)
    known = catalogue.read(source)
    if transposed and (known or source.endswith(".onnx")):
        raise InvalidInput(f"--transposed is for checkpoints: {source} tells directions itself")
    reading = _read(source, transposed or []) if known is None else Reading(known["layers"])
    preset = {} if known is None else known.get("craft", {})
    craft = preset if density is None else {"density": density}
    made = Spec.of_layers(reading.layers, craft, source if known else Path(source).stem)
    if reading.assumed:
        out.note(f"assumed: {reading.assumed} (see --transposed)")
    if reading.doubts:
        out.note(f"taken for granted: {reading.doubts}")
    _tell(out, "left out", reading.skipped.items())
    _tell(out, "kept dense", ((rule.match, rule.note) for rule in made.craft.rules if rule.dense))
    out.spec(made, output)


def _read(source: str, transposed: list[str]) -> Reading:
    from raiw import catalogue, extras
    from raiw.names import nearest
    from raiw.readers.checkpoints import read_shapes, shapes_of_file, shapes_of_state

    if not Path(source).is_file():
        hint = nearest(source, list(catalogue.names()))
        raise NotFound(f"no file and no catalogue name {source!r}{hint}")
    suffix = Path(source).suffix
    if suffix == ".onnx":
        from_onnx: Reading = extras.load("raiw.readers.onnx_file").read(source)
        return from_onnx
    if suffix not in _TORCH:
        return read_shapes(shapes_of_file(source), transposed)
    state = extras.load("raiw.nets.checkpoint").load_state(source)
    return read_shapes(shapes_of_state(state), transposed)


def _tell(out: Output, what: str, reasons: Iterable[tuple[str, str]]) -> None:
    """Say what happened to weights, one line for each reason."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons:
        names.setdefault(reason, []).append(name)
    for reason, alike in names.items():
        more = f" and {len(alike) - _SHOWN} more" if len(alike) > _SHOWN else ""
        out.note(f"{what}: {', '.join(alike[:_SHOWN])}{more} ({reason})")
