"""Named networks and presets, kept as YAML documents beside this file.

A network document holds ``layers``; a preset holds ``model`` (a network's name) and ``craft``. A
preset's name carries its family, as in ``raiw/vgg16-d16``. Among ``layers``, an entry with
``repeat`` and ``layers`` stands for that many copies of its own layers; ``{}`` in their names is
the number of the copy.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

_FOLDER = files(__name__)


@cache
@cache
def names() -> tuple[str, ...]:
    """Return every name in the catalogue, sorted."""
    found = []
    for entry in _FOLDER.iterdir():
        if entry.name.endswith(".yaml"):
            found.append(entry.name)
        elif entry.is_dir() and not entry.name.startswith("_"):
            found.extend(f"{entry.name}/{e.name}" for e in entry.iterdir() if e.name != "")
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


def read(name: str) -> dict[str, Any] | None:
    """Return a name's document, with a preset's network filled in; None if it is unknown."""
    return deepcopy(_read(name)) if name in names() else None


@cache  # names in the catalogue only: a client's inventions are not cached
def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text("utf-8"))
    network = document.get("model")
    if network is not None:
        document["layers"] = yaml.safe_load((_FOLDER / f"{network}.yaml").read_text("utf-8"))[
            "layers"
        ]
    document["layers"] = list(_unroll(document["layers"]))
    return document


def _unroll(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        if "repeat" not in entry:
            yield entry
            continue
        for copy in range(entry["repeat"]):
            for layer in entry["layers"]:
                yield layer | {"name": layer["name"].format(copy)}
