"""Models of packages that could download weights: built from their code alone, at random."""

import os
from collections.abc import Collection
from types import ModuleType
from typing import Any

from raiw import extras
from raiw.errors import InvalidInput, NotFound
from raiw.names import clipped, nearest


def load(package: str) -> ModuleType:
    """Import a package that will not connect to the hub.

    Raises
    ------
    MissingExtra
        It is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"  # belt and braces: nothing here asks for a download
    return extras.load(package)


def revision_with(package: ModuleType, name: str, names: Collection[str]) -> str:
    """Return the revision of a package that has a model.

    Raises
    ------
    NotFound
        It has none of this name.
    """
    revision = f"{package.__name__} {package.__version__}"
    if name not in names:
        raise NotFound(f"no model {clipped(repr(name))} in {revision}{nearest(name, names)}")
    return revision


def refused(argument: str, value: Any) -> InvalidInput:
    """Return the error for an argument that asks for weights from elsewhere."""
    return InvalidInput(
        f"argument {argument}={value!r}: nothing is downloaded; weights are random, or those of a "
        f"file; leave it out",
        pointer="/arguments",
    )
