"""One word, one meaning: no two public types have one name."""

import ast
import inspect
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import raiw

ROOT = Path(__file__).parents[2]


def public_types(source: str) -> Iterator[str]:
    """Yield the classes and type aliases that a module defines for others."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign) and not is_type_variable(node.value):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            continue
        # Constants are written in capitals, types are not.
        yield from (name for name in names if name[0].isupper() and not name.isupper())


def is_type_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and getattr(value.func, "id", "") == "TypeVar"


def shared_names() -> dict[str, list[str]]:
    places = defaultdict(list)
    for folder in ("raiw", "service", "worker"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in public_types(path.read_text("utf-8")):
                places[name].append(str(path.relative_to(ROOT)))
    return {name: found for name, found in places.items() if len(found) > 1}


def test_a_public_type_has_a_name_of_its_own() -> None:
    assert shared_names() == {}


def test_types_are_told_from_constants_and_what_is_private() -> None:
    source = (
        "class Aa: ...\nclass _B: ...\nCc = dict\nMAX_D = 1\nEe: type = int\nFf = TypeVar(0)\ng = 2"
    )
    assert [*public_types(source)] == ["Aa", "Cc", "Ee"]


ORDER = ["masks", "spec", "importance", "data", "inputs", "method"]
"""Of arguments, after the one that is worked on."""


def test_arguments_come_in_one_order_everywhere() -> None:
    checked = 0
    for name in raiw.__all__:
        found = getattr(raiw, name)
        members = vars(found).values() if inspect.isclass(found) else [found]
        for function in filter(inspect.isfunction, members):
            parameters = inspect.signature(function).parameters.values()
            positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
            places = [ORDER.index(word) for word in positional[1:] if word in ORDER]
            assert places == sorted(places), (name, function.__name__, positional)
            checked += len(places) > 1
    assert checked >= 6
