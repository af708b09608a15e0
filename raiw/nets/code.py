"""The revision of a network's code: results of other code must not pass for its own."""

import ast
import contextlib
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raiw.canonical import digest_of_json

_SOURCES = frozenset({".json", ".py", ".toml", ".yaml", ".yml"})
_GIVEN = frozenset({*sys.stdlib_module_names, "numpy", "raiw", "scipy", "torch"})
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def revision_of(factory: Any) -> str:
    """Return a digest of the code that a factory belongs to.

    It covers the sources of the factory's top-level package (or single file), and every package
    that these import: by its version if it is installed, else by its sources too. Python, torch,
    NumPy and SciPy do not count, nor do they for networks of the catalogue.
    """
    found: dict[str, str] = {}
    wanted = [str(getattr(factory, "__module__", type(factory).__module__)).partition(".")[0]]
    while wanted:
        package = wanted.pop()
        if package not in found and package not in _GIVEN:
            # The factory's own package counts by its sources, even if it is installed.
            released = _release(package) if found else None
            found[package] = released or _digest(package)
            wanted += () if released else _imports(package)
    return digest_of_json(found)


@cache
def _release(package: str) -> str | None:
    """Return the version of an installed package; None if it only lies in some folder."""
    if not any(_INSTALLED.intersection(root.parts) for root in _roots(package)):
        return None
    for distribution in _distributions().get(package, ()):
        with contextlib.suppress(PackageNotFoundError):
            return f"{distribution} {version(distribution)}"
    return None


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


@cache
def _digest(package: str) -> str:
    digest = sha256()
    for name, file in _files(package):
        digest.update(f"{name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _imports(package: str) -> tuple[str, ...]:
    """Return the top-level packages that the sources of a package import."""
    found = set()
    for name, file in _files(package):
        if not name.endswith(".py"):
            continue
        with contextlib.suppress(SyntaxError, ValueError):  # not code for this Python
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    found.add(node.module.partition(".")[0])
    return tuple(sorted(found))


def _files(package: str) -> Iterator[tuple[str, Path]]:
    """Yield the source files of a package with their names below it."""
    for root in _roots(package):
        for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if file.suffix in _SOURCES and file.is_file():
                yield file.relative_to(root.parent).as_posix(), file


def _roots(package: str) -> list[Path]:
    with contextlib.suppress(ImportError, ValueError):  # a missing package has no code
        module = sys.modules.get(package)
        spec = find_spec(package) if module is None else module.__spec__
        if spec is not None and spec.submodule_search_locations:
            return [Path(folder) for folder in spec.submodule_search_locations]
        if spec is not None and spec.has_location and spec.origin is not None:
            return [Path(spec.origin)]
    return []
