"""The floors of raiw, declared in pyproject.toml, are those that people read about."""

import re
import tomllib
from pathlib import Path

from raiw.algorithms import ALGORITHMS

ROOT = Path(__file__).parents[2]
CONTRACTS = {
    contract["name"].partition(":")[0]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
}
FLOORS = [set(floor.split(" | ")) for floor in CONTRACTS["Inside raiw"]["layers"]]
"""From the top down."""
TORCHLESS = {
    module.removeprefix("raiw.") for module in CONTRACTS["The torch line"]["source_modules"]
}


def floors_of(names: list[str]) -> list[set[str]]:
    """Cut a list of modules into floors of the declared sizes."""
    places = iter(names)
    return [{next(places, "") for _ in floor} for floor in reversed(FLOORS)]


def test_the_torch_line_lies_between_two_floors() -> None:
    below = [floor for floor in FLOORS if floor & TORCHLESS]
    assert set.union(*below) == TORCHLESS
    assert below == FLOORS[-len(below) :]


def test_the_map_of_the_house_is_drawn_by_floors() -> None:
    text = (ROOT / "docs" / "house.md").read_text("utf-8")
    drawn = re.findall(r"^  ([a-z]+|-{4})/? {2,}\S", text, re.MULTILINE)
    line = drawn.index("----")
    assert set(drawn[:line]) == TORCHLESS
    names = drawn[:line] + drawn[line + 1 :]
    assert len(names) == len(set(names)) == sum(map(len, FLOORS))
    assert floors_of(names) == FLOORS[::-1]


def test_the_map_of_the_house_tells_folders_from_files() -> None:
    text = (ROOT / "docs" / "house.md").read_text("utf-8")
    for name, folder in re.findall(r"^  ([a-z]+)(/?) {2,}\S", text, re.MULTILINE):
        assert (ROOT / "raiw" / (name if folder else f"{name}.py")).exists(), name


def test_the_line_of_imports_in_contributing_is_the_contract() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    line = re.search(r"go down this line only: `([^`]+)`", text)
    assert line is not None
    assert [set(re.findall(r"\w+", floor)) for floor in line[1].split(">")] == FLOORS


def test_an_algorithm_is_a_file_of_its_name() -> None:
    files = (ROOT / "raiw" / "crafting" / "algorithms").glob("*.py")
    assert {path.stem for path in files} - {"__init__"} == {*ALGORITHMS}
