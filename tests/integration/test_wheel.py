"""The wheel is complete: installed where no compiler and no source is, it crafts and serves."""

import html
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import typer
from safetensors.numpy import save_file

ROOT = Path(__file__).parents[2]
DEPENDENCIES = Path(typer.__file__).parents[1]
"""Where this environment's packages are; the source of raiw is elsewhere."""


def run(*command: str | Path, folder: Path, path: Path) -> str:
    """Run where PATH holds nothing but one folder, and return what was printed."""
    surroundings = {"PATH": str(path), "HOME": str(folder), "CC": "none", "CXX": "none"}
    done = subprocess.run(
        command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source],
        env=os.environ | {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_RAIW": "1.2.3", "CFLAGS": "-O1"},
        capture_output=True,
        check=True,
    )
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of commands of an environment that has the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    programs = folder / "bin"
    run(
        programs / "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
        folder=folder,
        path=programs,
    )
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(str(DEPENDENCIES))
    return programs


def test_one_wheel_serves_every_python_from_the_oldest_on(wheel: Path) -> None:
    assert wheel.name.startswith("raiw-1.2.3-cp311-abi3-")


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for package in ("raiw", "service", "worker", "migrations"):
        tracked = subprocess.run(
            ["git", "ls-files", package], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        needed = {name for name in tracked if "/native/" not in name and (ROOT / name).is_file()}
        assert needed <= held


def test_the_wheel_crafts_verifies_and_knows_its_version(installed: Path, tmp_path: Path) -> None:
    raiw = installed / "raiw"
    where = run(
        installed / "python",
        "-c",
        "import raiw; print(raiw.__file__)",
        folder=tmp_path,
        path=installed,
    )
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert run(raiw, "--version", folder=tmp_path, path=installed) == "raiw 1.2.3\n"
    run(
        raiw,
        "craft",
        "raiw/digits-cnn-10",
        "-o",
        "masks.safetensors",
        folder=tmp_path,
        path=installed,
    )
    run(raiw, "verify", "masks.safetensors", folder=tmp_path, path=installed)


@pytest.fixture(scope="module")
def served(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``raiw serve`` as the wheel has it."""
    folder = tmp_path_factory.mktemp("served")
    log = (folder / "serve.log").open("w+b")
    process = subprocess.Popen(
        [installed / "raiw", "serve", "--port", "0", "--state-dir", folder / "state"],
        cwd=folder,
        env={"PATH": str(installed), "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found, Path(log.name).read_text()
    yield found[0]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    log.close()


@pytest.mark.parametrize("way", ["browser", "form"])
def test_the_path_of_a_newcomer(way: str, installed: Path, served: str, tmp_path: Path) -> None:
    """Install, serve, drop scores on the page, watch the job, download, apply in torch."""
    rng = np.random.default_rng(0)
    scores, masks = tmp_path / "scores.safetensors", tmp_path / "masks.safetensors"
    shapes = {"fc1": (256, 784), "fc2": (10, 256)}  # those that the page begins with
    save_file({name: rng.random(shape, np.float32) for name, shape in shapes.items()}, scores)
    craft = {"browser": craft_in_a_browser, "form": craft_by_the_form}[way]
    craft(served, scores, masks)
    told = run(installed / "python", "-c", APPLY, folder=tmp_path, path=installed)
    assert told == "20326 of 203264 weights after a step, raiw, scored\n"


APPLY = """
import torch
import raiw

masks = raiw.load("masks.safetensors")
layers = {"fc1": torch.nn.Linear(784, 256), "fc2": torch.nn.Linear(256, 10)}
net = torch.nn.Sequential()
for name, layer in layers.items():
    net.add_module(name, layer)
handle = raiw.apply(net, masks)
optimizer = torch.optim.AdamW(net.parameters())
net(torch.rand(4, 784)).square().sum().backward()
optimizer.step()
handle.check()
kept = sum(int(layer.weight.count_nonzero()) for layer in layers.values())
scored = "scored" if masks.importance else "without scores"
print(f"{kept} of {masks.dense_weights} weights after a step, {masks.algorithm}, {scored}")
"""


def craft_in_a_browser(url: str, scores: Path, masks: Path) -> None:
    driving = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium")
    with driving.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(base_url=url)
        tab.set_default_timeout(120_000)
        tab.goto("/")
        tab.click("text=Craft the first masks")
        tab.set_input_files("#scores", scores)
        driving.expect(tab.locator("[data-stored]")).to_contain_text("Stored", timeout=120_000)
        tab.click("#new button.main")
        tab.click("text=Open the masks")  # there as soon as the job has ended
        with tab.expect_download() as download:
            tab.click("text=Mask file")
        download.value.save_as(masks)
        browser.close()


def craft_by_the_form(url: str, scores: Path, masks: Path) -> None:
    with httpx.Client(base_url=url, headers={"Accept": "text/html"}, timeout=300) as http:
        page = http.get("/new").text
        (begun,) = re.findall(r"(?s)<textarea[^>]*>(.*?)</textarea>", page)
        spec = f"{html.unescape(begun)}  seed: 1\n"  # not what the browser has had crafted
        with scores.open("rb") as file:
            sent = http.post(
                "/new", data={"spec": spec, "do": "craft"}, files={"scores": ("scores", file)}
            )
        job = sent.headers["location"]
        while not (found := re.search(r"/masks/sha256:\w{64}", http.get(job).text)):
            assert "failed" not in http.get(job).text
            time.sleep(0.2)
        (link,) = re.findall(r'href="([^"]+)" download>Mask file', http.get(found[0]).text)
        masks.write_bytes(http.get(link).content)
