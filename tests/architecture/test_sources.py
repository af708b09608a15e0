"""What neither ruff nor mypy sees in the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("raiw", "service", "worker", "migrations", "tests")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]

PURE = {
    *("all", "allclose", "any", "array_equal", "astype", "canonical_json", "content_key"),
    *("digest_of_json", "exists", "family", "is_current", "is_file", "isclose", "model_copy"),
    *("model_dump", "nearest", "reshape", "resolve", "sorted", "strip", "sum", "tobytes"),
    *("transpose", "union", "with_name", "with_suffix"),
}
"""Functions that only answer: calling one for nothing is a forgotten assert or assignment."""

BENEATH_THE_STORE = {"sqlalchemy.exc", "sqlalchemy.orm.Session"}
"""What use cases know of the database: it hands on a transaction, and it can fail."""


def dropped(source: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            name = getattr(function, "attr", None) or getattr(function, "id", None)
            if name in PURE:
                yield node.lineno


def sql_names(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module != "sqlalchemy.exc":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (n for n in names if n.startswith("sqlalchemy") and n not in BENEATH_THE_STORE)


def test_no_answer_is_dropped() -> None:
    found = [f"{p.relative_to(ROOT)}:{line}" for p in SOURCES for line in dropped(p.read_text())]
    assert not found


def test_a_dropped_answer_is_found() -> None:
    assert list(dropped("np.allclose(a, b)\nx = sorted(y)\npath.with_suffix('.x')")) == [1, 3]


@pytest.mark.parametrize("folder", ["raiw", "worker", "service"])
def test_sql_is_written_in_the_store_only(folder: str) -> None:
    store = ROOT / "service" / "store"
    found = {
        str(path.relative_to(ROOT)): names
        for path in (ROOT / folder).rglob("*.py")
        if store not in path.parents and (names := list(sql_names(path.read_text("utf-8"))))
    }
    assert not found


def test_written_sql_is_found() -> None:
    assert list(sql_names("from sqlalchemy import select, text")) == [
        "sqlalchemy.select",
        "sqlalchemy.text",
    ]
    assert not list(sql_names("from sqlalchemy.exc import DBAPIError"))


def test_nothing_is_left_to_do() -> None:
    """An open end belongs into an issue."""
    words = [f"TO{'DO'}", f"FIX{'ME'}", f"NotImplemented{'Error'}"]
    assert not [str(p) for p in SOURCES for word in words if word in p.read_text("utf-8")]


FACTS = {
    "the form of a digest": (
        r"""["']\^?\(?sha256:""",
        {"raiw/canonical.py"},
    ),
    "what to say of an unknown name": (
        r"there are \{|there are \"$",
        {
            "raiw/names.py",
            "service/api/dependencies.py",  # of parameters, where there may be none
            "raiw/specs/document.py",  # a template of pydantic's
            "raiw/training/data/registry.py",  # says below which folder
            "raiw/training/loop.py",  # a number
            "raiw/tensors.py",  # a number
            "worker/cli.py",  # to be mended with the worker
        },
    ),
    "the key of our metadata": (r"""\["raiw"\]|\{"raiw":|get\("raiw\"""", set()),
    "the rows of a group": (r"bits\[start : ", {"raiw/graphs.py"}),
}
"""Small facts by the pattern of a copy, and the files that may state them."""


@pytest.mark.parametrize("fact", FACTS)
def test_a_small_fact_stands_once(fact: str) -> None:
    pattern, places = FACTS[fact]
    copies = re.compile(pattern, re.MULTILINE)
    found = {
        str(path.relative_to(ROOT))
        for folder in ("raiw", "service", "worker")
        for path in (ROOT / folder).rglob("*.py")
        if copies.search(re.sub(r"^ *>>>.*$", "", path.read_text("utf-8"), flags=re.MULTILINE))
    }
    assert found <= places


def nameless_options(source: str) -> Iterator[str]:
    """Yield the options whose placeholder is their own name in capitals, and that have no other."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for argument in (*function.args.args, *function.args.kwonlyargs):
            for call in ast.walk(argument.annotation) if argument.annotation else ():
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "Option":
                    named = any(isinstance(name, ast.Constant) for name in call.args)
                    placeholders = [
                        getattr(k.value, "value", None) for k in call.keywords if k.arg == "metavar"
                    ]
                    if not named and placeholders == [argument.arg.upper()]:
                        yield f"{function.name} --{argument.arg}"


def test_an_option_is_not_named_by_its_placeholder() -> None:
    """Versions of typer before 0.28 call such an option by the placeholder, in capitals."""
    assert [*nameless_options("def a(b: A[int, typer.Option(metavar='B')]): ...")] == ["a --b"]
    found = {
        str(path.relative_to(ROOT)): names
        for path in SOURCES
        if (names := [*nameless_options(path.read_text("utf-8"))])
    }
    assert found == {}
