"""Reports of layers as files: Markdown for people, JSON for programs, SVG as a picture."""

from pathlib import Path
from typing import Any

from raiw.canonical import canonical_json
from raiw.pictures.lines import Line, line_chart
from raiw.pictures.palette import look_at
from raiw.study.graphs.report import markdown_text, write_texts
from raiw.study.layers.sensitivity import Sensitivity
from raiw.study.layers.spectra import Spectra

ReportTable = tuple[list[str], list[list[str]]]


def write_sensitivity(found: Sensitivity, name: str, folder: Path) -> list[Path]:
    """Write ``sensitivity.md``, ``.json`` and ``.svg`` and return their paths."""
    picture = "![accuracy by share of filters](sensitivity.svg)"
    notes = [*sensitivity_notes(found), picture]
    text = markdown_text(sensitivity_title(name), *sensitivity_table(found), notes)
    return _write("sensitivity", text, found.to_json(), _curves(found, name), folder)


def sensitivity_title(name: str) -> str:
    """Return what the report is of."""
    return f"{name}: what each layer can lose"


def sensitivity_table(found: Sensitivity) -> ReportTable:
    """Return titles and a row a layer: test accuracy in percent by share of filters that stay."""
    shares = [test.share for test in found.layers[0].tests]
    columns = ["layer", "filters", *(f"{share:.0%}" for share in shares), "keep"]
    rows = [
        [
            " + ".join(layer.layers),
            str(layer.filters),
            *(f"{100 * test.accuracy:.2f}" for test in layer.tests),
            f"{layer.keep:g}",
        ]
        for layer in found.layers
    ]
    return columns, rows


def sensitivity_notes(found: Sensitivity) -> list[str]:
    """Return what a reader of the table must know."""
    asked = " ".join(f"--keep {name}={share:g}" for name, share in found.keep.items())
    what = (
        f"Test accuracy in percent while one layer alone keeps a share of its filters, nothing "
        f"trained; {100 * found.accuracy:.2f} with all. Layers joined by + are added, and lose "
        f"the same."
    )
    suggested = (
        f"The smallest shares that cost at most {100 * found.tolerance:g} points each: "
        f"{asked or 'none'}. All of them together leave {found.weights:,} of "
        f"{found.dense_weights:,} weights and {100 * found.together:.2f} before training."
    )
    return [what, suggested]


def _curves(found: Sensitivity, name: str) -> str:
    lines = [
        Line(
            name=layer.layers[0],
            points=[
                (100.0, 100 * found.accuracy),
                *(
                    (100 * test.filters / layer.filters, 100 * test.accuracy)
                    for test in layer.tests
                ),
            ],
            look=look_at(place),
            marked=True,
        )
        for place, layer in enumerate(found.layers)
    ]
    return line_chart(
        lines,
        x="filters of the layer that stay, %",
        y="test accuracy, %",
        title=sensitivity_title(name),
        description="One layer alone is pruned, nothing is trained.",
        width=560,
    ).svg()


def write_spectra(found: Spectra, name: str, folder: Path) -> list[Path]:
    """Write ``afie.md``, ``.json`` and ``.svg`` and return their paths."""
    notes = [*spectra_notes(found), "![AFIE by state of the weights](afie.svg)"]
    text = markdown_text(spectra_title(name), *spectra_table(found), notes)
    return _write("afie", text, found.to_json(), _scores(found, name), folder)


def spectra_title(name: str) -> str:
    """Return what the report is of."""
    return f"{name}: average filter information entropy"


def spectra_table(found: Spectra) -> ReportTable:
    """Return titles and a row a layer: its scores, how far they move, and the shape's own."""
    rows = [
        [
            layer.layer,
            *(f"{score:.6f}" for score in layer.scores),
            f"{layer.moved:.2%}",
            f"{layer.shape:.6f}",
        ]
        for layer in found.layers
    ]
    return ["layer", *found.states, "moved", "shape alone"], rows


def spectra_notes(found: Spectra) -> list[str]:
    """Return what a reader of the table must know."""
    most = max(layer.moved for layer in found.layers)
    note = (
        f"Nats a filter. No score moves by more than {most:.2%} of the first. The last column is "
        f"what a layer of the shape with equal singular values has: where scores stand near it, "
        f"they say little of the weights."
    )
    return [note]


def _scores(found: Spectra, name: str) -> str:
    places = range(1, len(found.states) + 1)
    lines = [
        Line(
            name=layer.layer,
            points=[
                (float(place), score) for place, score in zip(places, layer.scores, strict=True)
            ],
            look=look_at(number),
            marked=True,
        )
        for number, layer in enumerate(found.layers)
    ]
    return line_chart(
        lines,
        x=f"states of the weights: {', '.join(found.states)}",
        y="AFIE, nats a filter",
        title=spectra_title(name),
        description=spectra_notes(found)[0],
        width=560,
        whole=True,
    ).svg()


def _write(
    name: str, text: str, document: dict[str, Any], picture: str, folder: Path
) -> list[Path]:
    files = {
        f"{name}.md": text,
        f"{name}.json": canonical_json(document) + "\n",
        f"{name}.svg": picture,
    }
    return write_texts(folder, files)
