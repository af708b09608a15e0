"""What the library does, asked of a server: budgets, verification, studies, printed numbers."""

import json
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import raiw
from raiw.budgets.budget import budget
from raiw.canonical import digest_of_file
from raiw.cli.app import run
from raiw.crafting.network import craft_network
from raiw.errors import JobFailed
from raiw.forms import FORMS
from raiw.jobs.workspace import read_report
from raiw.reproduction.registry import item
from raiw.specs.spec import Spec
from raiw.statistics import measure
from raiw.study.graphs.study import study
from tests.integration.stack import Stack

pytestmark = pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
LAYERS = [
    {"name": "a", "kind": "linear", "in_features": 40, "out_features": 30},
    {"name": "b", "kind": "linear", "in_features": 30, "out_features": 20},
]
SPEC = {"name": "library", "layers": LAYERS, "craft": {"density": 0.2}}


@pytest.fixture
def scores(tmp_path: Path, seed: int) -> Path:
    draws = np.random.default_rng(seed)
    shapes = {"a": (30, 40), "b": (20, 30)}
    save_file(
        {name: draws.random(shape, np.float32) for name, shape in shapes.items()},
        tmp_path / "scores.safetensors",
    )
    return tmp_path / "scores.safetensors"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return sum(request.node.name.encode())


def page(stack: Stack, path: str) -> str:
    answer = httpx.get(f"{stack.url}{path}", headers={"Accept": "text/html"}, timeout=240)
    assert answer.status_code == 200
    return answer.text


def as_json(document: dict[str, Any]) -> Any:
    return json.loads(json.dumps(document))


def told(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> Any:
    """Return what a command says in JSON."""
    capsys.readouterr()
    assert run([*map(str, arguments), "--json"]) == status
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("method", ["score", "global"])
def test_a_budget_is_shared_as_here_and_crafted(
    stack: Stack, scores: Path, method: str, tmp_path: Path
) -> None:
    job = stack.client.budget(SPEC, scores, method, craft=True).wait(120)
    here = budget(SPEC, scores, method)
    assert Spec.parse(job.report["spec"]) == here
    assert job.report["plan"] == as_json(here.plan(scored=True).to_json())
    masks = stack.client.masks(job.report["masks"])
    assert masks == raiw.craft(here, scores)
    (file,) = stack.client.fetch(job, tmp_path)
    assert read_report(file) == job.report
    assert stack.client.budget(SPEC, scores, method, craft=True).cache == "hit"
    assert f"/masks/{masks.digest}" in page(stack, f"/jobs/{job.id}")
    shown = page(stack, f"/masks/{masks.digest}")
    assert all(f"/v1/masks/{masks.digest}/file?format={form}" in shown for form in FORMS)


def test_a_budget_that_cannot_be_crafted_says_why(stack: Stack, tmp_path: Path) -> None:
    forbidden = np.full((30, 40), -np.inf, np.float32)
    file = tmp_path / "scores.safetensors"
    save_file({"a": forbidden, "b": np.ones((20, 30), np.float32)}, file)
    job = stack.client.budget(SPEC | {"craft": {"density": 0.9}}, file, "score", craft=True)
    with pytest.raises(JobFailed) as failed:
        job.wait(120).require_digest()
    assert "-inf" in str(failed.value)


def test_the_command_shares_there_what_it_shares_here(
    stack: Stack, scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    asked = ("budget", tmp_path / "spec.json", "-i", scores, "-m", "global")
    here = told(capsys, *asked, "--local")
    assert told(capsys, *asked, "--server", stack.url, "--priority", "high") == here


def test_verification_there_is_that_here(stack: Stack, scores: Path, tmp_path: Path) -> None:
    client = stack.client
    masks = client.craft(SPEC, scores).result(120)
    sound = client.verify(masks, SPEC, scores).wait(120)
    assert sound.report == as_json(raiw.verify(masks, SPEC, scores).to_json())
    assert sound.report["ok"]
    assert "Every check holds" in page(stack, f"/jobs/{sound.id}")
    assert {check["name"] for check in sound.report["checks"]} >= {"certificates", "spec"}
    other = SPEC | {"craft": {"density": 0.3}}
    assert client.verify(masks.digest, other).wait(120).report["ok"] is False
    damaged = bytearray(masks.to_bytes())
    damaged[-1] ^= 1
    file = tmp_path / "damaged.safetensors"
    file.write_bytes(damaged)
    found = client.verify(file).wait(120).report
    assert found["ok"] is False
    assert "These checks fail:" in page(stack, f"/jobs/{client.verify(file).id}")
    assert found == as_json(raiw.verify(bytes(damaged)).to_json())


@pytest.mark.parametrize(("density", "status"), [(0.2, 0), (0.3, 6)])
def test_the_command_verifies_stored_masks_there(
    stack: Stack,
    scores: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    density: float,
    status: int,
) -> None:
    masks = stack.client.craft(SPEC, scores).result(120)
    masks.save(tmp_path / "masks.safetensors")
    (tmp_path / "spec.json").write_text(json.dumps(SPEC | {"craft": {"density": density}}))
    given = ("--spec", tmp_path / "spec.json", "-i", scores)
    here = told(capsys, "verify", tmp_path / "masks.safetensors", *given, status=status)
    there = ("verify", masks.digest[:20], *given, "--server", stack.url)
    assert told(capsys, *there, status=status) == here
    assert stack.client.verify(masks, tmp_path / "spec.json", scores).cache == "hit"
    assert run([*map(str, there)]) == status
    assert capsys.readouterr().out.splitlines() == [masks.digest]
    assert run(["verify", f"sha256:{'0' * 64}", "--server", stack.url]) == 5


@pytest.mark.parametrize("given", [(), ("--density", "0.5", "--transposed", "a")])
def test_the_command_reads_the_spec_of_weights_there(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...]
) -> None:
    file = tmp_path / "weights.safetensors"
    save_file(
        {"a.weight": np.ones((3, 4)), "b.weight": np.ones((2, 3)), "b.bias": np.ones(2)}, file
    )
    here = told(capsys, "spec", file, *given)
    stack.client.spec_of(file)  # which uploads it
    digest = digest_of_file(file)
    there = told(capsys, "spec", digest, *given, "--server", stack.url)
    assert there == here | {"name": digest}
    assert run(["spec", f"sha256:{'0' * 64}", "--server", stack.url]) == 5


def test_a_file_that_holds_no_masks_cannot_be_verified(stack: Stack, scores: Path) -> None:
    with pytest.raises(JobFailed) as failed:
        stack.client.verify(scores).wait(120).require_digest()
    assert failed.value.details["error"]["code"] == "invalid-masks"


def test_a_study_there_is_that_here(
    stack: Stack, scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = ["regular", "random"]
    job = stack.client.study(SPEC, methods=methods, seeds=2).wait(120)
    here = as_json(study(SPEC, methods=methods, seeds=2).to_json())
    assert job.report == here
    assert job.view["progress"]["total"] == 4
    assert "Overlap is the Jaccard index with" in page(stack, f"/jobs/{job.id}")
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    asked = ("study", tmp_path / "spec.json", "--methods", "regular,random", "--seeds", "2")
    folder = tmp_path / "study"
    assert told(capsys, *asked, "--server", stack.url, "-o", folder) == here
    assert told(capsys, *asked, "--local") == here
    assert (folder / "study.md").is_file()
    scored = stack.client.study(SPEC, scores, seeds=1).wait(120).report
    assert scored == as_json(study(SPEC, scores, seeds=1).to_json())


def test_printed_numbers_come_out_as_here(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row.to_json() for row in item("table4").run()]
    assert stack.client.reproduce("table4").wait(120).report == {"table4": rows}
    asked = ("reproduce", "table4")
    assert told(capsys, *asked, "--server", stack.url) == told(capsys, *asked) == {"table4": rows}


def test_one_graph_over_all_layers_is_crafted_as_here(stack: Stack, scores: Path) -> None:
    spec = SPEC | {"craft": {"density": 0.2, "algorithm": "network"}}
    masks = stack.client.craft(spec, scores).result(120)
    assert masks.to_bytes() == raiw.craft(spec, scores).to_bytes()
    assert stack.client.verify(masks, spec, scores).wait(120).report["ok"]


@pytest.mark.parametrize("method", ["greedy", "regular"])
def test_a_graph_of_a_whole_network_is_that_of_the_library(
    stack: Stack, method: Literal["greedy", "regular"], tmp_path: Path
) -> None:
    job = stack.client.graph((5, 10, 5), 50, method, seed=3).wait(120)
    here = craft_network((5, 10, 5), 50, method, seed=3)
    (file,) = stack.client.fetch(job, tmp_path)
    made = load_file(file)
    assert len(made) == 2
    for number, layer in enumerate(here.layers()):
        assert (made[str(number)] == layer.to_bool()).all()
        assert job.report["layers"][number]["edges"] == layer.edges
    entropy = measure(here.folded).entropy
    assert job.report["statistics"]["entropy"] == pytest.approx(entropy, rel=1e-12)
