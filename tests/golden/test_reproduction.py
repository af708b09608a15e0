"""What the papers print and what comes out here."""

import json
import re

import pytest

from raiw.cli.app import run
from raiw.reproduction.registry import ITEMS, item
from raiw.reproduction.rows import Row

MISMATCHES = {
    "table1": {"RAIW, weights": "1.3M", "compression": "12x"},
    "table2": {"Densenet keeps of its weights": "59%"},
    "table3": {
        "RAIW above Regular, Welch's t": "t = 0.33",
        "RAIW's best run, as d-16 of Table 4 has it": "93.00%",
    },
    "table4": {
        "original, accuracy in the text": "93.96%",
        "d-32, weights": "1.25M",
        "d-32, compression": "12x",
    },
    "params": {},
    "figure1": {},
    "figure2": {},
    "figure3": {},
    "figure4a": {},
    "figure4b": {},
    "figure4c": {},
    "proposition1": {
        "3×3, 6 edges: share of the runs of Algorithm 2 outside the range": "1/3",
        "4×4, 8 edges: share of the runs of Algorithm 2 outside the range": "4/21",
        "4×4, 12 edges: share of the runs of Algorithm 2 outside the range": "116/315",
        "unequal sides of 2 to 32: numbers of edges with any graph in the range": (
            "17,314 of 133,145"
        ),
        "2×3, 5 edges, the smallest such layer: degrees": "one of 3 or more among the 2",
        "VGG-16 d-16, conv5, 128→256: degrees of outputs and inputs": "8 and 16",
        "one graph over 8-8-8, 64 edges: degrees": "3-8",
    },
    "afie-shape": {},
    "entropic": {},
    "entropic-speed": {},
}

PAPERS = {
    "table1": "94.0% 15.0M 93.4% 5.4M 93.8% 2.3M 93.3% 1.5M 93.4% 1.1M 14x 0.6%",
    "table2": "70.4% 13.28M 73.6% 21.08M 73.3% 21.78M 75.3% 25.50M 71.5% 8.32M 72.4% 11.74M 74.8% "
    "13.99M 75.6% 19.78M 40% 3%",
    "table3": "92.69% 92.66% 92.97% 92.70% 93.06% 92.97% 92.77% 93.00% 92.82% 92.69%",
    "table4": "14.98M 1.07M 0.75M 0.55M 93.96% 93.86% 93.37% 93.06% 91.85% 14x 20x 27x 0.6%",
    "params": "0.86M 28.89% 0.8% 21.07% 2.10M 21.37% 2.76M",
    "figure2": "2.554 2.875",
    "figure3": "0.01 0.005",
    "figure4a": "0.86M 28.89% 0.8%",
    "figure4b": "2.76M 21.37% 2.10M 21.07%",
    "figure4c": "2048 4096",
    "entropic": "55-84% 57.5MB 6.5MB 40%",
}
"""What the papers print, read from their text."""


@pytest.fixture(scope="module", params=[name for name in ITEMS if not ITEMS[name].trains])
def reproduced(request: pytest.FixtureRequest) -> tuple[str, list[Row]]:
    return request.param, item(request.param).run()


def test_only_the_papers_own_slips_differ(reproduced: tuple[str, list[Row]]) -> None:
    name, rows = reproduced
    differ = {row.quantity: row.ours for row in rows if row.verdict == "mismatch"}
    assert differ == MISMATCHES[name]


def test_what_does_not_match_says_why(reproduced: tuple[str, list[Row]]) -> None:
    _, rows = reproduced
    assert rows
    assert all(row.why for row in rows if row.verdict != "match")


@pytest.mark.parametrize("name", PAPERS)
def test_every_printed_number_has_its_row(name: str) -> None:
    printed = {row.paper.removeprefix("similar to ") for row in item(name).run()}
    assert set(PAPERS[name].split()) - printed == set()


def test_a_match_by_a_rule_of_ours_says_so() -> None:
    """A rule that was chosen because it gives a number does not confirm that number."""
    rows = {
        row.quantity: row for name in ("table1", "table2", "params") for row in item(name).run()
    }
    for name in (
        "RAIW-Resnet-50, weights",
        "RAIW-Resnet-101, weights",
        "RAIW-Densenet-169, weights",
        "RAIW on Densenet-BC-40-60, weights",
        "Li et al., 2016, weights",
    ):
        assert rows[name].verdict == "match"
        assert rows[name].why, name
    assert rows["RAIW, weights"].why.count("Table 4")


def test_words_are_no_numbers_to_match() -> None:
    """Whatever the text says of regular graphs, random ones stand beside them."""
    rows = [row for row in item("figure4c").run() if not row.paper.isdigit()]
    assert {row.verdict for row in rows} == {"not applicable"}
    assert all("random" in row.ours for row in rows if "share" in row.quantity)
    assert "98.2% (random 96.8%)" in {row.ours for row in rows}


def test_figure_2() -> None:
    assert [row.ours for row in item("figure2").run()] == ["2.875", "2.554"]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["items"].keys() == ITEMS.keys()
    assert listed["pictures"] == [name for name in ITEMS if ITEMS[name].pictures]
    assert run(["reproduce", "table4", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["table4"]
    assert {
        "quantity": "d-16, weights",
        "paper": "0.75M",
        "ours": "0.75M",
        "verdict": "match",
    }.items() <= next(row for row in rows if row["quantity"] == "d-16, weights").items()
    assert run(["reproduce", "tabel4"]) != 0
    assert "did you mean 'table4'" in capsys.readouterr().err


def test_a_narrow_network_is_measured_beside_the_whole_one(
    reproduced: tuple[str, list[Row]],
) -> None:
    name, found = reproduced
    if name != "entropic-speed":
        return
    memory, operations, *times = found
    assert memory.ours == "6.5 of 60.0 MB"
    assert operations.ours == "10.9%"
    assert len(times) == 2
    for row in times:
        assert re.fullmatch(r"-?\d+%: [\d.]+ of [\d.]+ ms, threads \d+", row.ours)
