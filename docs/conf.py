"""The site of these pages: ``nox -s docs`` builds it, and a warning is an error."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import from_code  # noqa: E402 -- it stands beside this file

project = "raiw"
author = "the raiw authors"
copyright = author  # noqa: A001 -- Sphinx's name
version = release = version("raiw")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # pages on GitHub may begin where they like
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "raiw"
html_extra_path = ["openapi.json"]
html_math_renderer = "mathml"

OUTSIDE = ("CHANGELOG", "CONTRIBUTING")
"""Pages that stand above this folder; the site has copies."""


def setup(app: Sphinx) -> None:
    """Write the pages that are made of the code, and let browsers set the mathematics."""
    from_code.write(HERE / "reference")
    for name in OUTSIDE:
        text = (HERE.parent / f"{name}.md").read_text("utf-8").replace("](docs/", "](../")
        (HERE / "reference" / f"{name.lower()}.md").write_text(text, "utf-8")
    app.connect("source-read", _link_to_copies)
    app.add_html_math_renderer("mathml", (_inline, None), (_displayed, None))


def _link_to_copies(_app: Sphinx, _name: str, source: list[str]) -> None:
    for name in OUTSIDE:
        source[0] = source[0].replace(f"](../{name}.md)", f"](reference/{name.lower()}.md)")


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _displayed(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(tex2mathml(node.astext(), as_block=True))
    raise nodes.SkipNode
