"""Pictures are safe XML that says what it shows, the same each time."""

import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from raiw.algorithms import ALGORITHMS
from raiw.graphs import Graph
from raiw.pictures.drawing import Bitmap, Mark, Path, shapes_of
from raiw.pictures.heat import heat_map
from raiw.pictures.labels import area, beside
from raiw.pictures.lines import Line, line_chart
from raiw.pictures.maps import map_tiles, mask_map, thumbnail, tile_png, tile_values
from raiw.pictures.networks import Edge, edges_of, neural_graph
from raiw.pictures.palette import COLOURS, look_of
from raiw.pictures.panels import panels
from raiw.pictures.png import indexed_png
from raiw.pictures.raster import png
from raiw.pictures.scatter import Point, scatter
from raiw.pictures.sheets import Drawn, layer_sheet, network_sheet
from raiw.statistics import describe, measure

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</title><script>alert(1)</script>\" onload='x' &amp; \x00\x1b[31m \ud800 {}%s λ 🙂"
KNOWN = {"svg", "title", "desc", "style", "g", "rect", "polyline", "polygon", "circle", "text"} | {
    "image"
}


def graph(shape, share, seed=0):
    return Graph.from_bool(np.random.default_rng(seed).random(shape) < share)


GRAPHS = {
    "random": (graph((96, 160), 0.1), 1),
    "groups": (graph((96, 8), 0.4), 12),
    "depthwise": (graph((64, 1), 0.5), 64),
    "empty": (graph((8, 8), 0), 1),
    "full": (graph((8, 24), 2), 1),
    "one": (graph((1, 1), 2), 1),
    "none": (graph((1, 1), 0), 1),
    "row": (graph((1, 300), 0.5), 1),
    "column": (graph((300, 1), 0.5), 1),
    "matching": (Graph.from_bool(np.eye(12, dtype=bool)), 1),
}


def layers(facts=measure):
    return [
        Drawn(name=name + HOSTILE, graph=each, facts=facts(each, groups))
        for name, (each, groups) in GRAPHS.items()
    ]


def drawings():
    measured = layers()
    yield from (layer_sheet(layer) for layer in measured)
    yield network_sheet(measured, HOSTILE, HOSTILE)
    yield network_sheet(layers(describe), "no entropies")
    yield network_sheet([], "no layers")
    points = [Point(10.0**i, i / 3 - 1, HOSTILE, HOSTILE, i / 10) for i in range(5)]
    for joined in (False, True):
        yield scatter(points, x=HOSTILE, y="y", title=HOSTILE, note=HOSTILE, joined=joined)
    yield scatter([], x="x", y="y", title="nothing", note="", logarithmic=True)
    edges = [*edges_of([graph((6, 4), 0.5), graph((1, 6), 0.5)]), Edge(row=0, top=0, bottom=5)]
    words = {"title": HOSTILE, "description": HOSTILE}
    toy = neural_graph([(HOSTILE, 4), ("b", 6), ("c", 1)], edges, hollow={(0, 1)}, **words)
    axes = {"x": HOSTILE, "y": HOSTILE, **words}
    for logarithmic in ("", "x", "y"):
        lines = [
            Line(name=HOSTILE, points=[(1, 2), (3, 4)], look=look_of("raiw"), labels=[HOSTILE] * 2),
            Line(name="b", points=[(1, 2)], look=look_of("nm"), marked=True, errors=[0.5]),
            Line(name="c", points=[], look=look_of("nm"), hollow=True, dashed=True),
        ]
        yield panels([[toy, line_chart(lines, logarithmic=logarithmic, **axes)]], title=HOSTILE)
    yield line_chart([], **axes)
    yield heat_map(np.array([[0.0, np.nan, 1.0]]), (1, 2), unit=HOSTILE, **axes)


def check_svg(text):
    """Make sure that a text is SVG without a script or a request; return its root."""
    root = ET.fromstring(text.encode("utf-8"))  # noqa: S314 -- we wrote it
    assert root.tag == f"{SVG}svg"
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in KNOWN
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert "url(" not in value
            if name == "href":
                assert re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/=]+", value)
    assert [child.tag.removeprefix(SVG) for child in root][:2] == ["title", "desc"]
    assert (root.get("role"), root.findtext(f"{SVG}title")) != ("img", "")
    return root


def test_every_picture_is_safe_and_the_same_each_time():
    for one, two in zip(drawings(), drawings(), strict=True):
        assert one.svg() == two.svg()
        for text in (one.svg(), one.inline()):
            root = check_svg(text)
            for element in root.iter():
                numbers = [element.get(a, "0") for a in ("x", "y", "width", "height", "cx", "cy")]
                assert all(np.isfinite(float(n.removesuffix("%"))) for n in numbers)
        assert "nan" not in re.sub(r"<title>.*?</title>|base64,[^\"]*", "", one.svg())


def test_a_page_decides_the_colours_under_a_strict_policy():
    for drawing in drawings():
        text = drawing.inline()
        assert "<style" not in text
        assert " style=" not in text
        assert " class=" not in text
        for colour in re.findall(r'(?:fill|stroke)="([^"]*)"', text):
            assert colour == "none" or re.fullmatch(
                r"var\(--raiw-[a-z0-9-]+, [#A-Za-z0-9]+\)", colour
            )


def test_a_file_follows_its_reader():
    text = layer_sheet(layers()[0]).svg()
    style = ET.fromstring(text.encode()).findtext(f"{SVG}style")  # noqa: S314 -- we wrote it
    assert style.startswith("@media (prefers-color-scheme:dark)")
    used = set(re.findall(r'(?:fill|stroke)="#\w+" class="([fs]-[a-z0-9-]+)"', text))
    assert {"f-surface", "f-ink", "f-mask", "s-random"} <= used
    assert all(f".{name}{{" in style for name in used)


def test_a_picture_says_its_numbers():
    sheet = layer_sheet(layers()[0])
    each, _ = GRAPHS["random"]
    facts = measure(each)
    for words in (
        f"96 outputs × 160 inputs, {facts.edges:,} of 15,360 edges",
        f"96 outputs have degrees from {facts.out_degree.min} to {facts.out_degree.max}",
        f"160 inputs have degrees from {facts.in_degree.min} to {facts.in_degree.max}",
        f"gap {facts.entropy_gap:.4g} nats",
    ):
        assert words in sheet.description
    listed = network_sheet(layers(), "all").description
    assert all(name in listed for name in GRAPHS)


def test_a_layer_of_millions_of_edges_is_a_small_picture():
    bits = np.random.default_rng(0).integers(0, 256, (3, 4096, 1792), np.uint8)
    large = Graph((4096, 14336), bits[0] & bits[1] & bits[2])
    sheet = layer_sheet(Drawn(name="down_proj", graph=large, facts=describe(large)))
    assert len(sheet.svg()) < 500_000
    assert len(thumbnail(large).inline()) < 5_000
    assert len(list(shapes_of(sheet))) < 500


@pytest.mark.parametrize("mode", ["density", "deviation"])
def test_the_pixels_of_a_map_are_its_tiles(mode):
    each, groups = GRAPHS["random"]
    bitmap = next(s for s in shapes_of(mask_map(each, mode=mode)) if isinstance(s, Bitmap))
    values = tile_values(each, map_tiles(each, mode), mode, groups)
    assert bitmap.levels.shape == values.shape
    assert np.all(np.diff(bitmap.levels.ravel()[np.argsort(values, axis=None)].astype(int)) >= 0)
    with Image.open(io.BytesIO(tile_png(each, mode))) as picture:
        assert picture.size == values.shape[::-1]
        pixels = np.asarray(picture.convert("RGBA"))
    assert np.array_equal(pixels, bitmap.ramp[bitmap.levels])


def test_a_deviation_has_tiles_of_enough_edges():
    each = graph((512, 512), 0.03)
    assert map_tiles(each, "density").side == 2
    tiles = map_tiles(each, "deviation")
    assert tiles.counts.mean() >= 16
    window = map_tiles(each, "deviation", (100, 400), (30, 430))
    assert (window.rows[0], window.rows[-1]) == (100, 400)
    assert window.counts.mean() >= 16


def test_png_of_levels_and_opacities():
    levels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    ramp = np.arange(24, dtype=np.uint8).reshape(6, 4)
    with Image.open(io.BytesIO(indexed_png(levels, ramp))) as picture:
        assert np.array_equal(np.asarray(picture.convert("RGBA")), ramp[levels])


def test_the_raster_shows_what_the_drawing_does():
    for place, drawing in enumerate([*drawings()][::2]):
        theme = ("light", "dark")[place % 2]
        with Image.open(io.BytesIO(png(drawing, theme))) as picture:
            assert picture.size == (round(2 * drawing.width), round(2 * drawing.height))
            colours = {colour for _, colour in picture.getcolors(1 << 24)}
        ground = bytes.fromhex(getattr(COLOURS["surface"], theme)[1:])
        assert {tuple(ground)} < colours


def luminance(colour):
    parts = np.array(list(bytes.fromhex(colour[1:]))) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, two):
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_told_from_their_ground(theme):
    ground = getattr(COLOURS["surface"], theme)
    for name, colour in COLOURS.items():
        if name not in {"surface", "grid"}:
            least = 4.5 if name in {"ink", "muted"} else 3
            assert contrast(getattr(colour, theme), ground) >= least, name


def test_every_method_has_a_look_of_its_own():
    looks = [look_of(name) for name in ALGORITHMS]
    assert len(set(looks)) == len(looks)
    assert look_of("somebody's") not in looks


def test_labels_cover_no_point_and_no_other_label():
    random = np.random.default_rng(3)
    for x in (20, 280, 540):
        for _ in range(20):
            pair = random.uniform((x - 5, 95), (x + 5, 105), (2, 2))
            spots = [*pair.tolist(), (x, 180.0)]
            placed = [
                area(words) for words in beside([(s, "Resnet 28.09 %") for s in spots], 0, 560)
            ]
            points = [(left, top, left, top) for left, top in spots]
            for place, one in enumerate(placed):
                assert 0 <= one[0] <= one[2] <= 560
                for other in (*placed[:place], *points):
                    beyond = one[2] <= other[0] or other[2] <= one[0]
                    assert beyond or one[3] <= other[1] or other[3] <= one[1]


def test_a_neural_graph_has_a_line_for_each_edge_and_a_ring_for_each_hollow_vertex():
    layers = [graph((6, 4), 0.5), graph((3, 6), 0.5)]
    rows = [("in", 4), ("hidden", 6), ("out", 3)]
    drawing = neural_graph(
        rows, edges_of(layers), hollow={(1, 2), (2, 0)}, title="t", description="d"
    )
    shapes = drawing.shapes
    assert sum(isinstance(each, Path) for each in shapes) == sum(each.edges for each in layers)
    marks = [each for each in shapes if isinstance(each, Mark)]
    assert sum(each.colour == "ink" for each in marks) == 13 - 2
    assert sum(each.colour == "random" for each in marks) == 2
    assert all(0 <= each.x <= drawing.width and 0 <= each.y <= drawing.height for each in marks)
