"""The site of the documentation builds without a warning, and loads nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="pip install 'raiw[docs]'")
DOCS = Path(__file__).parents[2] / "docs"
LOADED = re.compile(
    r"<(?:script|img|iframe|source)[^>]+src=[\"'](?:https?:)?//|"
    r"<link[^>]+rel=[\"'](?:stylesheet|preload|icon)[\"'][^>]+href=[\"'](?:https?:)?//|"
    r"<link[^>]+href=[\"'](?:https?:)?//[^>]+rel=[\"']stylesheet|"
    r"@import[^;]*//|url\([\"']?(?:https?:)?//"
)


def test_the_site(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = {page.name: page.read_text("utf-8") for page in tmp_path.rglob("*.html")}
    assert pages.keys() >= {"tutorial.html", "python.html", "commands.html", "rest.html"}
    assert "<math" in pages["mathematics.html"]
    assert "raiw.sparsify" in pages["python.html"]
    styles = {page.name: page.read_text("utf-8") for page in tmp_path.rglob("*.css")}
    asking = {
        name: found for name, text in (pages | styles).items() if (found := LOADED.search(text))
    }
    assert asking == {}
