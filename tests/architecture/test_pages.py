"""Pages that people keep, held against the code and the tree."""

import re
from pathlib import Path

import raiw
from raiw import catalogue
from raiw.algorithms import ALGORITHMS
from raiw.cli import exits
from raiw.importance.methods import SCORES
from raiw.pruning.methods import METHODS

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_the_page_of_networks_lists_the_catalogue() -> None:
    """Every network with its weights, every preset with those it keeps."""
    listed = {
        name: int(weights.replace(" ", ""))
        for name, weights in re.findall(
            r"\| `([a-z0-9/-]+)`[^|]* \| ([\d ]+?) (?=\|)", page("docs/networks.md")
        )
    }
    counted = {}
    for name in catalogue.names():
        spec = {"model": name} if "/" in name else {"model": name, "craft": {"density": 1.0}}
        counted[name] = raiw.Spec.parse(spec).plan().weights
    assert listed == counted


def test_whatever_the_house_says_to_look_into_is_there() -> None:
    _, _, table = page("docs/house.md").partition("| Where is … | Look in |")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    assert len(rows) >= 20
    for question, places in rows:
        found = re.findall(r"`([^`]+)`", places)
        assert found, question
        assert all((ROOT / place).exists() for place in found), question


def test_the_page_of_the_command_lists_every_exit_status() -> None:
    listed = {int(n) for n in re.findall(r"^\| (\d+) \|", page("docs/command.md"), re.MULTILINE)}
    assert listed == {0, exits.INTERRUPTED, exits.BROKEN_PIPE, *exits.STATUS.values()}


def test_recipes_name_files_that_are_there() -> None:
    named = re.findall(r"`((?:raiw|service|worker|tests|docs)/[\w./]+)`", page("CONTRIBUTING.md"))
    assert len(named) > 20
    assert [place for place in named if not (ROOT / place).exists()] == []


def test_the_changelog_tells_every_revision() -> None:
    """Whoever finds other numbers than before looks there first."""
    text = " ".join(page("CHANGELOG.md").split())
    entries = [*ALGORITHMS.values(), *SCORES.values(), *METHODS.values()]
    for entry in entries:
        if entry.revision > 1:
            told = rf"`{entry.name}`[^.]* (is|are) revision {entry.revision}\b"
            assert re.search(told, text), entry.name


def test_the_changelog_sorts_each_version_by_kind() -> None:
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for version in page("CHANGELOG.md").split("\n## ")[1:]:
        found = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert found == [kind for kind in kinds if kind in found] != []
