"""Every block that the pages show runs: in order, in one folder for each page."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shown import Reader, blocks, missing
from tests.integration.test_serve import serving
from tests.integration.zygote import CLIENT

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    if any(True for _ in blocks(page))
)
SERVER = "http://127.0.0.1:8321"
SHORTER = {
    "epochs=15": "epochs=1",
    "epochs=5 ": "epochs=1 ",
    '"epochs": 15': '"epochs": 1',
    "--seeds 5": "--seeds 2",
}
"""What takes long is run in less: nothing else is other than shown."""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder with ``raiw``, which costs no import."""
    folder = tmp_path_factory.mktemp("bin")
    address = folder / "zygote"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.zygote", str(address)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        client = folder / "raiw"
        client.write_text(CLIENT.format(python=sys.executable, address=address))
        client.chmod(0o755)
        yield folder
        process.communicate("")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a server that all pages share."""
    with serving(tmp_path_factory.mktemp("state"), RAIW_NETWORK_MODULES="") as service:
        yield service.url


def shorter(code: str, url: str) -> str:
    for long, short in {**SHORTER, SERVER: url}.items():
        code = code.replace(long, short)
    return code


def test_blocks_that_are_not_run_are_few_and_say_why() -> None:
    """Whoever adds one adds it here."""
    left_out = {
        page: [block.skipped.partition(":")[0].partition(";")[0] for block in blocks(ROOT / page)]
        for page in PAGES
    }
    assert {page: found for page, why in left_out.items() if (found := [*filter(None, why)])} == {
        "README.md": ["installs", "runs every test"],
        "docs/apply.md": ["a trainer", "a trainer", "a training"],
        "docs/deployment.md": [
            "it starts containers",
            "it replaces containers",
            "it needs a cluster",
            "needs an account at Amazon",
            "it needs a host name",
        ],
        "docs/methods.md": ["takes a quarter of an hour", "takes ten minutes"],
        "docs/networks.md": ["needs timm"],
        "docs/pictures.md": ["needs networks trained on CIFAR-100"],
        "docs/search.md": ["takes minutes", "it serves until it is stopped"],
        "docs/service.md": [
            "four jobs that import torch",
            "acme.nets is yours",
            "makes keys in your own state folder",
            "there is no receiver at this address",
            "this is a receiver's",
        ],
        "docs/sizing.md": ["minutes of load"],
        "docs/speed.md": [
            "measures for minutes",
            "measures a table for a minute",
            "trains for an hour",
        ],
        "docs/training.md": ["two processes", "takes minutes", "takes half an hour"],
        "docs/tutorial.md": ["installs"],
    }


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs(
    page: str,
    programs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    shown = [block for block in blocks(ROOT / page) if not block.skipped]
    asks = any(SERVER in block.code for block in shown)
    url = request.getfixturevalue("server") if asks else SERVER
    folder = tmp_path / "page"
    folder.mkdir()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAIW_")}
    reader = Reader(
        folder,
        plain
        | {"PATH": f"{programs}:{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "80"}
        | {"XDG_CACHE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "TERM": "dumb"},
    )
    monkeypatch.chdir(folder)
    for block in shown:
        if block.note == "in another terminal":
            continue  # the server that all pages share
        block.code = shorter(block.code, url)
        try:
            output = reader.run(block)
        except Exception as error:
            raise AssertionError(f"{page}:{block.line}: {error}") from error
        if block.output is not None:
            assert missing(block.output, output) == [], f"{page}:{block.line}: {output}"
