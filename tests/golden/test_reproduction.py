"""What the papers print and what comes out here."""

import json

import pytest

from raiw.cli.app import run
from raiw.reproduction.registry import ITEMS, item
from raiw.reproduction.rows import Row

MISMATCHES = {
    "table1": {"RAIW on VGG-16, weights": "1.3M", "compression": "12x"},
    "table2": {"Densenet keeps of its weights": "59%"},
    "table3": {"RAIW above Regular, Welch's t": "t = 0.33"},
    "table4": {"d-32, weights": "1.25M", "d-32, compression": "12x"},
    "params": {"RAIW on Resnet-110, CIFAR-100, weights": "0.87M"},
    "figure2": {},
    "figure4c": {},
    "afie-shape": {},
}


@pytest.fixture(scope="module", params=ITEMS)
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


def test_figure_2() -> None:
    assert [row.ours for row in item("figure2").run()] == ["2.875", "2.554"]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"].keys() == ITEMS.keys()
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
