"""Masks, specs and plans as a notebook shows them: small, escaped, without a request."""

import re
import xml.etree.ElementTree as ET

import pytest

import raiw

NAME = "<img src=x onerror=alert(1)> & \x01"
LAYERS = [
    {"name": f"fc{place}", "kind": "linear", "in_features": 24, "out_features": 8}
    for place in range(70)
]
GROUPED = {"name": "dw", "kind": "conv2d", "in_channels": 8, "out_channels": 8, "kernel_size": 3}
SPEC = raiw.Spec.parse(
    {"name": NAME, "layers": [GROUPED | {"groups": 8}, *LAYERS], "craft": {"density": 0.5}}
)
MASKS = raiw.craft(SPEC)


@pytest.mark.parametrize("shown", [MASKS, MASKS["dw"], MASKS["fc0"], SPEC, SPEC.plan()])
def test_what_a_notebook_shows_is_safe(shown) -> None:
    text = shown._repr_html_()
    root = ET.fromstring(f"<body>{text}</body>")  # noqa: S314 -- we wrote it
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert "table" in tags
    assert not tags & {"img", "script", "style", "link", "iframe", "foreignObject"}
    for element in root.iter():
        assert not [name for name in element.attrib if name.startswith("on")]
        assert element.get("href", "data:image/png;base64,").startswith("data:image/png;base64,")
    assert len(text) < 120_000


@pytest.mark.parametrize("shown", [MASKS, SPEC])
def test_the_name_of_a_network_is_words(shown) -> None:
    caption = ET.fromstring(shown._repr_html_()).find("caption").text  # noqa: S314 -- we wrote it
    assert NAME.replace("\x01", "\ufffd") in caption


@pytest.mark.parametrize("shown", [MASKS, SPEC, SPEC.plan()])
def test_a_long_network_says_how_much_is_left_out(shown) -> None:
    rows = ET.fromstring(shown._repr_html_()).findall("tr")  # noqa: S314 -- we wrote it
    assert next(rows[1].itertext()) == "dw"
    assert "8 × 1, 8 groups" in rows[1].itertext()
    assert len(rows) == 1 + 60 + 1
    assert [*rows[-1].itertext()] == ["and 11 more"]


def test_a_mask_shows_its_facts_and_map() -> None:
    text = MASKS["fc0"]._repr_html_()
    for words in ("8 × 24", "<td>96</td>", "50.00 %", "24 inputs", "8 outputs"):
        assert words in text
    assert len(re.findall("<svg", text)) == 1
