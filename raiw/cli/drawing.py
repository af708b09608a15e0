"""``raiw draw``."""

import fnmatch
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raiw.cli.examples import examples
from raiw.cli.inspecting import open_masks
from raiw.cli.options import MasksArgument, QuietOption, ServerOption
from raiw.cli.output import Output, stdout_console
from raiw.cli.progress import LayerProgress
from raiw.errors import InvalidInput, NotFound
from raiw.names import listed, nearest

if TYPE_CHECKING:
    from raiw.masks import Mask, MaskSet
    from raiw.pictures.drawing import Drawing

commands = typer.Typer()

_FORMS = (".svg", ".png")
_WIDEST, _SMALL = 72, 32
"""Characters of a map in a terminal, alone and among others."""


@commands.command(
    epilog=examples(
        "raiw craft raiw/vgg16-d16 -o masks.safetensors",
        "raiw draw masks.safetensors --layer conv9",
        "raiw draw masks.safetensors --layer conv9 -o conv9.svg",
        "raiw draw masks.safetensors -o network.svg",
    )
)
def draw(
    masks: MasksArgument,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer", "-l", metavar="GLOB", help="A layer, or several as in 'features.*'."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .svg or .png file, - for SVG on stdout; a map in the terminal without.",
        ),
    ] = None,
    server: ServerOption = None,
    *,
    dark: Annotated[
        bool,
        typer.Option("--dark", help="A PNG on a dark ground; an SVG is as its reader prefers."),
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Draw masks: where their edges are, degrees, singular values and entropy gap.

    One layer gets a sheet of its own, beside a random mask; several are drawn small on one sheet.
    """
    out = Output(quiet=quiet)
    if output is not None and output != "-" and Path(output).suffix.lower() not in _FORMS:
        raise InvalidInput(f"{output!r} names no picture: end it in .svg or .png, or give -")
    opened = open_masks(masks, server)
    shown = _chosen(opened, layer)
    if output is None:
        _print_maps(shown, out)
        return
    sheet = _sheet(opened, shown, out)
    if output == "-":
        out.line(sheet.svg().rstrip("\n"))
        return
    from raiw.files import write_atomically

    write_atomically(output, [_encoded(sheet, output, dark=dark)])
    out.note(f"wrote {output}")


def _chosen(masks: "MaskSet", pattern: str | None) -> "list[Mask]":
    if pattern is None or pattern in masks:
        return [*masks.values()] if pattern is None else [masks[pattern]]
    found = [mask for name, mask in masks.items() if fnmatch.fnmatchcase(name, pattern)]
    if not found:
        names = [*masks]
        raise NotFound(f"no layer {pattern!r}{nearest(pattern, names)}; there are {listed(names)}")
    return found


def _sheet(masks: "MaskSet", shown: "list[Mask]", out: Output) -> "Drawing":
    from raiw.pictures.sheets import Drawn, layer_sheet, network_sheet

    layers = []
    with LayerProgress(out, "measuring", len(shown), first_line=2.0) as progress:
        for done, mask in enumerate(shown):
            progress.show(done, mask.name)
            layers.append(Drawn(name=mask.name, graph=mask.graph, facts=mask.stats))
    if len(layers) == 1:
        return layer_sheet(layers[0])
    kept = (
        f"{masks.weights:,} of {masks.dense_weights:,} weights kept ({100 * masks.density:.2f} %)"
    )
    some = f"{len(layers)} of {len(masks)} layers; " if len(layers) < len(masks) else ""
    heading = str(masks.origin.spec.get("name") or "Masks")
    return network_sheet(layers, heading, f"{some}{kept}, {masks.algorithm}, seed {masks.seed}")


def _encoded(sheet: "Drawing", name: str, *, dark: bool) -> bytes:
    if Path(name).suffix.lower() == ".svg":
        return sheet.svg().encode()
    from raiw.pictures.raster import png

    return png(sheet, "dark" if dark else "light")


def _print_maps(shown: "list[Mask]", out: Output) -> None:
    from raiw.pictures.terminal import ASCII, SHADES, half_blocks, shaded

    console = stdout_console()
    width = min(console.width, _WIDEST if len(shown) == 1 else _SMALL)
    coloured = console.color_system is not None and not console.no_color and _can_write("▀")
    for mask in shown:
        out.line(_line(mask))
        if coloured:
            console.print(half_blocks(mask.graph, width))
        else:
            out.line(shaded(mask.graph, width, SHADES if _can_write(SHADES) else ASCII))


def _line(mask: "Mask") -> str:
    """Return what the map below is of."""
    facts = mask.facts
    rows, columns = facts.shape
    groups = f" in {facts.groups} groups" if facts.groups > 1 else ""
    words = (
        f"{mask.name}: {rows} outputs down, {columns} inputs across{groups}, "
        f"{facts.edges:,} edges ({100 * facts.density:.2f} %)"
    )
    readable = "".join(each if each.isprintable() else "?" for each in words)
    encoding = sys.stdout.encoding or "ascii"
    return readable.encode(encoding, "replace").decode(encoding)


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
