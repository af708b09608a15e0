"""Lists that people keep, held against the code."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

import raiw
import service
import worker
from raiw import errors
from raiw.algorithms import ALGORITHMS
from raiw.cli import exits
from raiw.cli.app import app
from raiw.jobs.registry import KINDS
from service.api import problems
from service.contract import errors as service_errors
from service.contract.tasks import Task
from service.settings import Settings
from worker import stops
from worker.app import create_worker

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("raiw", "service", "worker", "tests", "migrations")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def test_files_are_short() -> None:
    long = {str(path): n for path in SOURCES if (n := path.read_text("utf-8").count("\n")) > 400}
    assert not long


CHECKS = re.compile(r"\bassert|pytest\.(raises|warns)|check=True|\.wait\(")


def test_every_test_checks_something() -> None:
    """By itself, or through a function of its file that does."""
    idle = []
    for path in SOURCES:
        text = path.read_text("utf-8")
        functions = {
            node.name: ast.get_source_segment(text, node) or ""
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef)
        }
        checking = {name for name, source in functions.items() if CHECKS.search(source)}
        through = re.compile(rf"\b({'|'.join(checking)})\(") if checking else CHECKS
        idle += [
            f"{path.name}: {name}"
            for name, source in functions.items()
            if path.name.startswith("test_") and name.startswith("test_")
            if name not in checking and not through.search(source)
        ]
    assert not idle


@pytest.fixture(scope="module")
def error_classes() -> list[type[errors.RaiwError]]:
    """Every error there is, wherever it stands."""
    for package in (raiw, service, worker):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)

    def below(kind: type[errors.RaiwError]) -> Iterator[type[errors.RaiwError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    ours = ("raiw.", "service.", "worker.")
    return [kind for kind in below(errors.RaiwError) if kind.__module__.startswith(ours)]


Errors = list[type[errors.RaiwError]]


def test_every_error_has_a_code_of_its_own(error_classes: Errors) -> None:
    assert len(error_classes) > 30
    assert all("code" in vars(kind) and "title" in vars(kind) for kind in error_classes)
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", kind.code) for kind in error_classes)
    codes = Counter(kind.code for kind in error_classes)
    assert [code for code, times in codes.items() if times > 1] == []


def test_every_error_has_an_exit_status_and_an_http_status(error_classes: Errors) -> None:
    for kind in error_classes:
        assert exits.exit_status(kind("message")) in range(1, 9), kind
        assert problems.status_of(kind) in range(400, 600), kind


def drawn(text: str) -> dict[str, str | None]:
    """Return the class above each class of a drawing."""
    above: dict[str, str | None] = {}
    line: list[str] = []
    for lead, name in re.findall(r"^ {4}([│├└─ ]*)([A-Z]\w+)\b", text, re.MULTILINE):
        line[len(lead) // 4 :] = [name]
        above[name] = line[-2] if len(line) > 1 else None
    return above


def test_every_error_stands_in_the_drawing_of_its_package(error_classes: Errors) -> None:
    drawings = {
        package: drawn(module.__doc__ or "")
        for package, module in (("raiw", errors), ("service", service_errors), ("worker", stops))
    }
    for kind in error_classes:
        base = kind.__bases__[0].__name__ if kind is not errors.RaiwError else None
        drawing = drawings[kind.__module__.partition(".")[0]]
        assert drawing.get(kind.__name__, "nobody") == base, kind


@pytest.mark.parametrize("folder", ["service", "worker"])
def test_no_problem_is_written_by_hand(folder: str) -> None:
    """What is stored or answered of an error is made of its class."""
    literal = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "code" and isinstance(value, ast.Constant)
    ]
    assert not literal


def test_the_worker_registers_the_tasks_of_the_contract() -> None:
    registered = {name for name in create_worker(Settings()).tasks if name.startswith("raiw.")}
    assert registered == {task.value for task in Task}


def test_the_table_of_methods_is_the_registry() -> None:
    text = (ROOT / "docs" / "methods.md").read_text("utf-8")
    rows = [row for line in text.splitlines() if len(row := line.strip("| ").split(" | ")) > 4]
    expected = [[f"`{a.name}`", a.contract, a.scores, a.source] for a in ALGORITHMS.values()]
    assert [row[:4] for row in rows if row[0].startswith("`")] == expected


def test_paths_that_the_readme_and_the_house_name_exist() -> None:
    house = (ROOT / "docs" / "house.md").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    names = re.findall(r"^(\w+/) ", house, re.MULTILINE) + re.findall(r"\]\(([\w/]+\.md)", readme)
    assert len(names) > 20
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_spec_that_the_guide_shows_is_one() -> None:
    text = (ROOT / "docs" / "guide.md").read_text("utf-8")
    shown = re.search(r"```yaml\n(# spec.yaml\nname:.*?)```", text, re.DOTALL)
    assert shown is not None
    plan = raiw.Spec.parse(yaml.safe_load(shown[1])).plan()
    assert plan.weights < plan.dense_weights


def test_the_page_of_trouble_lists_every_code(error_classes: Errors) -> None:
    """All that people meet; what ends an attempt inside a worker reaches nobody by that name."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    inside = {"error", "failed", "killed", "lease-lost", "stopped", "worker-ends", "canceled"}
    listed = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert Counter(listed) == Counter({kind.code for kind in error_classes} - inside)


def test_the_commands_that_the_readme_shows_are_there() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    shown = set(re.findall(r"\braiw ([a-z]+)", blocks))
    group = get_command(app)
    assert shown
    assert all(group.get_command(None, name) for name in shown)  # type: ignore[attr-defined]


def test_the_page_of_the_service_lists_every_setting_and_kind_of_job() -> None:
    page = (ROOT / "docs" / "service.md").read_text("utf-8")
    named = set(re.findall(r"`RAIW_([A-Z_]+)(?:=\d+)?`", page)) - {"URL", ""}
    assert named == {name.upper() for name in Settings.model_fields}
    _, _, kinds = page.partition("\n| `kind`")
    rows = re.findall(r"^\| `(\w+)`(?: \(the default\))? \| ", kinds, re.MULTILINE)
    assert rows[: len(KINDS)] == [*KINDS]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_documents_what_it_takes(name: str) -> None:
    entry = ALGORITHMS[name]
    build = entry.load()
    taken = ["shape", "edges", "scores", "stream", *entry.options]
    sections = dict(
        re.findall(r"(?ms)^(\w+)\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", inspect.getdoc(build) or "")
    )
    assert list(inspect.signature(build).parameters) == taken
    assert re.findall(r"(?m)^\w+$", sections["Parameters"]) == taken
    assert sections["Returns"]
    assert entry.source
