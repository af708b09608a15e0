"""One spec by several methods: what the comparison says, and its files."""

import csv
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import raiw
from raiw.cli.app import run
from raiw.errors import InvalidInput
from raiw.study.graphs.report import markdown, write_report
from raiw.study.graphs.study import study

LAYERS = [
    {"name": "a", "kind": "linear", "in_features": 32, "out_features": 48},
    {"name": "b", "kind": "linear", "in_features": 48, "out_features": 24},
]
SPEC = {"name": "small <net>", "layers": LAYERS, "craft": {"degree": 4, "seed": 7}}
SCORES = {
    layer["name"]: np.random.default_rng(i).random((layer["out_features"], layer["in_features"]))
    for i, layer in enumerate(LAYERS)
}


def test_every_run_is_what_craft_makes() -> None:
    found = study(SPEC, SCORES, methods=["raiw", "regular", "random"], seeds=2)
    assert [(row.method, row.seed, row.layer) for row in found.rows] == [
        ("raiw", 7, "a"), ("raiw", 7, "b"),
        ("regular", 7, "a"), ("regular", 7, "b"), ("regular", 8, "a"), ("regular", 8, "b"),
        ("random", 7, "a"), ("random", 7, "b"), ("random", 8, "a"), ("random", 8, "b"),
    ]  # fmt: skip
    craft = SPEC["craft"] | {"algorithm": "regular", "seed": 8}
    own = raiw.craft(SPEC | {"craft": craft}, SCORES)
    base = raiw.craft(SPEC, SCORES)
    row = found.rows[5]
    assert row.entropy == own["b"].stats.entropy
    assert row.kept_score == own["b"].kept_score
    assert row.overlap == own.diff(base).layers[1].jaccard
    assert all(row.overlap == 1 for row in found.rows[:2])
    by_method = {m: [r for r in found.rows if r.method == m] for m in found.methods}
    kept = {m: np.mean([r.kept_score for r in rows]) for m, rows in by_method.items()}
    assert kept["raiw"] > kept["regular"]
    entropy = {m: np.mean([r.entropy for r in rows]) for m, rows in by_method.items()}
    assert entropy["regular"] > entropy["random"]


SVG = "{http://www.w3.org/2000/svg}"


def test_the_same_study_writes_the_same_files(tmp_path: Path) -> None:
    found = study(SPEC, SCORES, seeds=2)
    paths = write_report(found, tmp_path / "one")
    again = write_report(study(SPEC, SCORES, seeds=2), tmp_path / "two")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    assert [path.name for path in paths] == ["study.md", "study.csv", "study.json", "entropy.svg"]
    with paths[1].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.rows) == len(json.loads(paths[2].read_text())["rows"])
    assert {row["method"] for row in rows} == set(found.methods)
    picture = ET.fromstring(paths[3].read_text())  # noqa: S314 -- we wrote it
    marks = [*picture.iter(f"{SVG}circle"), *picture.iter(f"{SVG}polygon")]
    shown = [mark.findtext(f"{SVG}title", "").split(",")[0] for mark in marks]
    for method in found.methods:
        drawn = [row for row in found.rows if row.method == method and row.entropy_gap > 1e-9]
        assert shown.count(method) == len(drawn) > 0


def test_a_method_that_cannot_is_left_out_with_its_reason() -> None:
    found = study(SPEC, methods=["regular", "raiw", "nm"])
    assert set(found.refused) >= {"raiw"}
    assert "needs importance scores" in found.refused["raiw"]
    assert re.search(r"`raiw` was left out: .*needs importance scores", markdown(found))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"methods": ["raiww"]}, "did you mean 'raiw'"), ({"seeds": 0}, "at least 1")],
)
def test_bad_input(options: dict, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        study(SPEC, **options)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    arguments = [
        "study",
        str(tmp_path / "spec.json"),
        "--methods",
        "regular,random",
        "--seeds",
        "2",
    ]
    assert run([*arguments, "-o", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    head, *rows = [line.split("\t") for line in shown.out.splitlines()]
    assert [row[0] for row in rows] == ["regular", "random"]
    assert {len(row) for row in rows} == {len(head)}
    assert {"kept score", "score gap"}.isdisjoint(head)  # there are no scores
    assert all(cell for row in rows for cell in row)
    assert "| `regular` |" in (tmp_path / "out" / "study.md").read_text()
    assert "study.md" in shown.err
    assert (tmp_path / "out" / "entropy.svg").is_file()
    assert run([*arguments, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 8
