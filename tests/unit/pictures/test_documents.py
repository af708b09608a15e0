"""The pictures in the documentation are those that the code draws now."""

import re
from pathlib import Path

import raiw
from raiw.cli.app import run
from raiw.pictures.scatter import Point, scatter

DOCS = Path(__file__).parents[3] / "docs"


def without_pixels(text: str) -> str:
    """Leave out what depends on the version of zlib."""
    return re.sub(r"base64,[^\"]*", "", text)


def test_the_masks_are_drawn_by_the_command_shown(tmp_path: Path) -> None:
    page = (DOCS / "pictures.md").read_text("utf-8")
    masks = tmp_path / "masks.safetensors"
    raiw.craft("raiw/vgg16-d16").save(masks)
    for layer, name in (("conv9", "layer.svg"), ("'conv[4-9]'", "masks.svg")):
        assert re.search(rf"raiw draw masks.safetensors --layer {re.escape(layer)} -o {name}", page)
        drawn = tmp_path / name
        assert run(["draw", str(masks), "--layer", layer.strip("'"), "-o", str(drawn)]) == 0
        kept = (DOCS / name).read_text("utf-8")
        assert without_pixels(drawn.read_text("utf-8")) == without_pixels(kept)


def test_the_digits_are_those_of_the_table() -> None:
    page = (DOCS / "training.md").read_text("utf-8").partition("## What the digits say")[2]
    rows = re.findall(
        r"^\| ([\d.]+) \| `(\S+)` \| ([\d,]+) \| ([\d.]+) ± ([\d.]+) ", page, re.MULTILINE
    )
    points = {
        (method, weights): Point(
            float(weights.replace(",", "")),
            float(mean),
            method,
            "every weight" if method == "dense" else f"density {density}",
            float(deviation),
        )
        for density, method, weights, mean, deviation in rows
    }
    methods = list(dict.fromkeys(method for _, method, *_ in rows))
    drawing = scatter(
        sorted(points.values(), key=lambda point: methods.index(point.series)),
        x="weights kept, logarithmic",
        y="test accuracy, %",
        title="digits-cnn on digits: accuracy by method",
        note="Points are means; bars are ± one standard deviation over 20 seeds. Methods at one "
        "density stand a little apart.",
        joined=True,
    )
    assert len(points) == 4 * 7 + 1
    assert drawing.svg() == (DOCS / "digits.svg").read_text("utf-8")
