"""``raiw check``, ``raiw lock``, ``raiw diff`` and reports, without a server."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from safetensors.numpy import save_file

import raiw
from raiw.cli.app import run
from raiw.gating import check_masks
from raiw.locking import Lock
from raiw.reports import MaskReport, write_report
from raiw.specs.changes import FORMAT
from raiw.specs.gates import Gates

LAYERS = [
    {"name": "fc1", "kind": "linear", "in_features": 16, "out_features": 24},
    {"name": "fc_2", "kind": "linear", "in_features": 24, "out_features": 8},
]
SPEC: dict[str, Any] = {"name": "a <b> | c", "layers": LAYERS, "craft": {"degree": 4}}
GATED = SPEC | {"gates": {"max_density": 0.1, "components": 1}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAIW_URL", raising=False)
    Path("spec.json").write_text(json.dumps(SPEC))
    Path("gated.json").write_text(json.dumps(GATED))
    raiw.craft(SPEC).save("masks.safetensors")
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Run a command with --json; return its status, its document and what it said besides."""
    status = run([*arguments, "--json"])
    out, err = capsys.readouterr()
    return status, json.loads(out) if out else None, err


def xml(path: str) -> ET.Element:
    return ET.parse(path).getroot()  # noqa: S314 -- reads what was just written


def test_every_failed_gate_is_named_with_value_and_limit(folder, capsys) -> None:
    gates = ["--max-density", "0.1", "--max-weights", "100", "--components", "1"]
    status, document, err = told(capsys, "check", "masks.safetensors", *gates)
    masks = raiw.craft(SPEC)
    failed = {gate["gate"]: gate for gate in document["gates"] if not gate["ok"]}
    density = masks.weights / masks.dense_weights
    assert status == 6
    assert document["digest"] == masks.digest
    assert failed.keys() == {"max_density", "max_weights"}
    assert failed["max_density"]["failures"] == [{"layer": None, "value": density}]
    assert failed["max_weights"]["limit"] == 100
    assert f"FAILED max_density 0.1: {density:.6g}" in err
    assert run(["check", "masks.safetensors", "--components", "1", "-q"]) == 0
    assert capsys.readouterr() == (masks.digest + "\n", "")


def test_a_layer_that_fails_is_named_worst_first() -> None:
    blocks = SPEC | {"craft": {"degree": 1}}
    [result] = check_masks(raiw.craft(blocks), Gates(components=1))
    values = {name: mask.facts.components for name, mask in raiw.craft(blocks).items()}
    assert {one.layer: one.value for one in result.breaches} == values
    assert result.breaches[0].value == max(values.values())


def test_a_score_gap_needs_a_certificate_and_is_held_to_it(folder, capsys) -> None:
    rng = np.random.default_rng(0)
    scores = {"fc1": rng.random((24, 16)), "fc_2": rng.random((8, 24))}
    masks = raiw.craft(SPEC, scores)
    worst = max(mask.gap for mask in masks.values())
    assert check_masks(masks, Gates(max_gap=worst))[0].ok
    assert not check_masks(masks, Gates(max_gap=worst * 0.999))[0].ok
    assert run(["check", "masks.safetensors", "--max-gap", "1"]) == 6
    assert "not certified in fc1" in capsys.readouterr().err


def test_the_entropy_gate_is_that_of_the_statistics() -> None:
    masks = raiw.craft(SPEC)
    worst = max(mask.stats.entropy_gap for mask in masks.values())
    assert check_masks(masks, Gates(max_entropy_gap=worst))[0].ok
    assert not check_masks(masks, Gates(max_entropy_gap=worst * 0.999))[0].ok


def test_gates_of_a_spec_change_no_bit_and_no_key(folder, capsys) -> None:
    plain, gated = raiw.Spec.parse(SPEC), raiw.Spec.parse(GATED)
    assert gated.content_key() == plain.content_key()
    assert raiw.craft(gated).to_bytes() == raiw.craft(plain).to_bytes()
    assert gated.canonical()["gates"] == GATED["gates"]


def test_craft_writes_what_fails_a_gate_and_exits_6(folder, capsys) -> None:
    status, document, _ = told(capsys, "craft", "gated.json", "-o", "new.safetensors")
    assert status == 6
    assert (folder / "new.safetensors").read_bytes() == raiw.craft(SPEC).to_bytes()
    assert [gate["gate"] for gate in document["verdict"]["gates"] if not gate["ok"]] == [
        "max_density"
    ]
    assert run(["craft", "gated.json", "--set", "gates.max_density=0.9"]) == 0


def test_a_spec_alone_is_held_to_what_it_plans(folder, capsys) -> None:
    status, document, err = told(capsys, "check", "gated.json")
    assert (status, document["content_key"]) == (6, raiw.Spec.parse(SPEC).content_key())
    assert "need masks: components" in err
    assert run(["check", "gated.json", "--max-density", "0.9", "--no-dead-units"]) == 0
    assert run(["check", "spec.json", "--max-gap", "0.1"]) == 2  # asked for, and cannot be told
    assert run(["check", "spec.json"]) == 2  # nothing to check
    assert run(["check", "masks.safetensors", "--spec", "gated.json"]) == 6


@pytest.mark.parametrize(
    "gates",
    [
        {"max_density": 2},
        {"components": 0},
        {"no_dead_units": False},
        {"max_gap": -1},
        {"x": 1},
        {"min_density": 0.5, "max_density": 0.1},
    ],
)
def test_gates_are_validated_at_the_border(gates, folder, capsys) -> None:
    Path("spec.json").write_text(json.dumps(SPEC | {"gates": gates}))
    status, document, _ = told(capsys, "key", "spec.json")
    assert status == 2
    assert document["error"]["pointer"].startswith("/gates")


def test_a_lock_holds_spec_scores_algorithm_and_masks(folder, capsys) -> None:
    assert run(["lock", "masks.safetensors"]) == 0
    first = Path("raiw.lock").read_text()
    assert run(["lock", "masks.safetensors", "-q"]) == 0
    assert Path("raiw.lock").read_text() == first
    craft = ["craft", "spec.json", "--locked", "raiw.lock"]
    assert run([*craft, "-o", "again.safetensors"]) == 0
    assert run(["check", "again.safetensors", "--locked", "raiw.lock"]) == 0
    assert run(["check", "gated.json", "--max-density", "1", "--locked", "raiw.lock"]) == 0
    capsys.readouterr()
    status, document, _ = told(capsys, *craft, "--set", "craft.seed=1", "-o", "no.safetensors")
    assert status == 6
    assert [one["field"] for one in document["error"]["lock"]] == ["spec"]
    assert not Path("no.safetensors").exists()  # refused before the work


def test_other_masks_and_scores_do_not_match_a_lock(folder, capsys) -> None:
    run(["lock", "masks.safetensors"])
    rng = np.random.default_rng(0)
    save_file({"fc1": rng.random((24, 16)), "fc_2": rng.random((8, 24))}, "scores.safetensors")
    raiw.craft(SPEC, "scores.safetensors").save("other.safetensors")
    capsys.readouterr()
    status, document, err = told(
        capsys, "check", "other.safetensors", "--locked", "raiw.lock", "--report", "report"
    )
    assert status == 6
    fields = [one["field"] for one in document["lock"]]
    assert fields[:3] == ["masks", "importance", "algorithm"]
    assert "the lock does not match" in err
    assert 'failures="1"' in Path("report/junit.xml").read_text()


def test_another_revision_of_the_algorithm_does_not_match(folder, capsys) -> None:
    run(["lock", "masks.safetensors"])
    text = Path("raiw.lock").read_text()
    lock = json.loads(text)
    changed = text.replace(f'"revision": {lock["revision"]}', '"revision": 999')
    assert changed != text
    Path("raiw.lock").write_text(changed)
    assert run(["check", "spec.json", "--locked", "raiw.lock"]) == 6
    assert "revision is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "status"), [(None, 5), ("{", 2), ('{"format": "raiw.lock@9"}', 2), ("\x00", 2)]
)
def test_a_lock_that_is_none_is_refused(content, status, folder, capsys) -> None:
    if content is not None:
        Path("raiw.lock").write_text(content)
    assert run(["craft", "spec.json", "--locked", "raiw.lock"]) == status


def test_locks_and_plans_never_replace_what_is_neither(folder, capsys) -> None:
    spec = Path("spec.json").read_text()
    assert run(["lock", "masks.safetensors", "-o", "spec.json"]) == 2
    assert run(["plan", "spec.json", "--save", "spec.json"]) == 2
    assert "spec.1.json" in capsys.readouterr().err
    assert Path("spec.json").read_text() == spec
    Lock.read(Path("spec.1.json"))
    raiw.craft(SPEC | {"craft": {"degree": 8}}).save("others.safetensors")
    assert run(["lock", "masks.safetensors", "-q"]) == 0
    assert run(["lock", "others.safetensors", "-q"]) == 0  # what a lock is there for
    assert Lock.read(Path("raiw.lock")).masks == raiw.load("others.safetensors").digest
    assert run(["lock", "masks.safetensors", "-o", "spec.json", "--force"]) == 0
    assert Lock.read(Path("spec.json")).masks == raiw.load("masks.safetensors").digest


def test_locks_and_plans_go_to_standard_output(folder, capsys) -> None:
    assert run(["lock", "masks.safetensors", "-o", "-"]) == 0
    assert Lock.model_validate_json(capsys.readouterr().out).importance is None
    assert run(["plan", "spec.json", "--save", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == FORMAT
    assert run(["plan", "spec.json", "--save", "-", "--json"]) == 2
    assert not Path("-").exists()


@pytest.mark.parametrize("time", ["9" * 14 + "h", "9" * 400, "9000h"])
def test_a_timeout_beyond_every_clock_is_refused(time, folder, capsys) -> None:
    assert run(["craft", "spec.json", "--timeout", time]) == 2
    assert "more than a year" in capsys.readouterr().err


def test_a_report_that_has_no_place_is_refused_before_the_work(folder, capsys) -> None:
    craft = ["craft", "spec.json", "-o", "new.safetensors", "--report"]
    assert run([*craft, "spec.json"]) == run([*craft, "spec.json/below"]) == 2
    assert "'spec.json" in capsys.readouterr().err
    assert not Path("new.safetensors").exists()
    assert run([*craft, "new/report"]) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [(["-i", "scores.safetensors"], "verify -i"), (["--set", "name=a"], "--spec")],
)
def test_options_that_would_do_nothing_are_refused(options, words, folder, capsys) -> None:
    assert run(["check", "masks.safetensors", "--components", "1", *options]) == 2
    assert words in capsys.readouterr().err


def test_plans_are_saved_and_compared_with_specs_and_masks(folder, capsys) -> None:
    assert run(["plan", "spec.json", "--save", "plan.json", "-q"]) == 0
    assert run(["diff", "plan.json", "spec.json"]) == 0
    assert run(["diff", "masks.safetensors", "plan.json"]) == 0
    assert run(["diff", "gated.json", "plan.json"]) == 0
    other = SPEC | {"craft": {"rules": [{"match": "fc1", "dense": True}], "degree": 4}}
    Path("other.json").write_text(json.dumps(other))
    capsys.readouterr()
    status, document, _ = told(capsys, "diff", "plan.json", "other.json")
    assert status == 6
    assert {change["layer"] for change in document["layers"]} == {"fc1"}
    edges = next(change for change in document["layers"] if change["field"] == "edges")
    assert (edges["a"], edges["b"]) == (16 * 4, 16 * 24)
    assert run(["diff", "plan.json", "other.json"]) == 6
    assert "fc1" in capsys.readouterr().out


def test_a_plan_saved_before_inputs_could_be_grouped_is_the_same(folder) -> None:
    assert run(["plan", "spec.json", "--save", "plan.json", "-q"]) == 0
    saved = json.loads(Path("plan.json").read_text())
    for layer in saved["layers"]:
        assert layer.pop("group_inputs") == 1
    Path("plan.json").write_text(json.dumps(saved))
    assert run(["diff", "plan.json", "spec.json"]) == 0


def test_another_seed_is_another_plan_only_by_its_key(folder, capsys) -> None:
    Path("other.json").write_text(json.dumps(SPEC | {"craft": {"degree": 4, "seed": 1}}))
    _, document, _ = told(capsys, "diff", "spec.json", "other.json")
    assert [change["field"] for change in document["fields"]] == ["content_key"]
    assert document["layers"] == []


def test_a_damaged_plan_is_named(folder, capsys) -> None:
    Path("plan.json").write_text('{"format": "raiw.plan@1", "layers": [{}]}')
    assert run(["diff", "plan.json", "spec.json"]) == 2
    assert "plan.json" in capsys.readouterr().err


def test_a_report_has_four_forms_that_say_the_same(folder, capsys) -> None:
    assert run(["check", "masks.safetensors", "--max-weights", "1", "--report", "report"]) == 6
    junit = xml("report/junit.xml")
    [case] = junit.iter("testcase")
    assert (case.get("name"), junit.get("failures")) == ("max_weights", "1")
    assert "max_weights 1: " in str(case[0].get("message"))
    markdown = Path("report/summary.md").read_text()
    assert r"| fc\_2 | 8 × 24 |" in markdown
    assert r"## a \<b\> \| c: failed" in markdown
    page = Path("report/report.html").read_text()
    assert "a &lt;b&gt; | c" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    badge = xml("report/badge.svg")
    assert badge.get("aria-label") == "raiw: 0.278 kept, failed"
    assert run(["craft", "spec.json", "--report", "crafted"]) == 0
    assert 'failures="0"' in Path("crafted/junit.xml").read_text()


def test_the_summary_of_thousands_of_layers_stays_small(tmp_path: Path) -> None:
    layers = [
        {"name": f"{'x' * 150}{n}", "kind": "linear", "in_features": 2, "out_features": 2}
        for n in range(2000)
    ]
    masks = raiw.craft({"layers": layers, "craft": {"degree": 1}})
    write_report(MaskReport(masks, check_masks(masks, Gates(components=1))), tmp_path)
    summary = (tmp_path / "summary.md").read_bytes()
    assert 50_000 < len(summary) <= 60_000
    assert b"more layers" in summary
    assert (tmp_path / "report.html").read_bytes().count(b"<tr>") > 2000
