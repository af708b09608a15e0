"""Options that several commands share, and what their text means."""

import os
import re
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli import completing
from raiw.errors import InvalidInput, InvalidSpec

if TYPE_CHECKING:
    from raiw.client import Client
    from raiw.specs.spec import Spec

DATA_HELP = "A data set that raiw data lists, or a .safetensors file."

SpecArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="A spec file, a name that raiw presets lists, or - (stdin).",
        autocompletion=completing.specs,
    ),
]
MasksArgument = Annotated[
    str,
    typer.Argument(
        metavar="MASKS",
        help="A mask file, - (stdin), or a digest on the server, or its beginning.",
        autocompletion=completing.masks,
    ),
]
ImportanceOption = Annotated[
    Path | None,
    typer.Option("--importance", "-i", metavar="FILE", help="Scores or weights (safetensors)."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the spec, as in craft.seed=3; repeatable."
    ),
]
ServerOption = Annotated[
    str | None, typer.Option("--server", metavar="URL", help="Server to ask (RAIW_URL).")
]
LocalOption = Annotated[
    bool, typer.Option("--local", help="Use this machine even where RAIW_URL is set.")
]
TimeoutOption = Annotated[
    str | None,
    typer.Option(
        "--timeout", metavar="TIME", help="Time for all of it, downloads too: 90, 45s, 30m, 1h30m."
    ),
]
NETWORK_HELP = "A name that raiw networks lists, or package.module:function."
NetworkArgument = Annotated[
    str,
    typer.Argument(metavar="NETWORK", help=NETWORK_HELP, autocompletion=completing.networks),
]
WeightsOption = Annotated[
    Path, typer.Option("--weights", "-w", metavar="FILE", help="State dict, safetensors.")
]
OwnWeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", "-w", metavar="FILE", help="State dict; random weights without."),
]
InputOption = Annotated[
    str | None, typer.Option("--input", metavar="SHAPE", help="Shape of one input, as in 3,32,32.")
]
ArgumentsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--argument", "-a", metavar="NAME=VALUE", help="An argument of the network; repeatable."
    ),
]
PrunedOption = Annotated[
    Path | None,
    typer.Option(
        "--pruned",
        metavar="FILE",
        help="Channels that raiw prune kept: the network without the others.",
    ),
]
DataFolderOption = Annotated[
    Path, typer.Option("--data-dir", metavar="FOLDER", help="Folder of this machine's data sets.")
]
SamplesOption = Annotated[int, typer.Option(metavar="NUMBER")]
SeedOption = Annotated[int, typer.Option(metavar="NUMBER")]
DataOption = Annotated[
    str | None,
    typer.Option("--data", metavar="NAME", help=DATA_HELP, autocompletion=completing.data),
]
RecipeSetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the recipe, as in epochs=20; repeatable."
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1; a GPU if there is one.")
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", help="Exit 6 where outputs or inputs of a layer have no edge."),
]
OptionsOption = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="An option of the method; repeatable."),
]
MetadataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata", metavar="NAME=TEXT", help="A note for the server's job; repeatable."
    ),
]
PriorityOption = Annotated[
    str | None,
    typer.Option(
        "--priority", metavar="LEVEL", help="Which of your server's jobs first: high, normal, low."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, errors too.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only the digest, key or id.")
]

_LONGEST = timedelta(days=366)
"""Threads and sockets wait no longer than the system's clock can count."""
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")


def read_spec(source: str, changes: list[str] | None) -> "Spec":
    """Read a spec and apply ``--set key=value`` changes to its document.

    Raises
    ------
    InvalidSpec
        A change names a place that does not exist, or the changed document is not a spec.
    """
    from raiw import catalogue
    from raiw.files import naming
    from raiw.readers.documents import read_document
    from raiw.specs.spec import Spec

    if not changes:
        return Spec.load(source)
    document = {"model": source} if source in catalogue.names() else read_document(source)
    if not isinstance(document, dict):
        return Spec.parse(document)
    preset = catalogue.read(str(document.get("model"))) or {}
    if "craft" in preset:  # a change adds to the preset, as in a file
        document.setdefault("craft", preset["craft"])
    with nullcontext() if "model" in document else naming(source):
        return Spec.parse(changed(_without_replaced_target(document, changes), changes))


def _without_replaced_target(document: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """Remove the target of all layers where a change gives another kind of target."""
    from raiw.specs.crafting import TARGETS

    craft = document.get("craft")
    keys = (change.partition("=")[0] for change in changes)
    if isinstance(craft, dict) and not {*TARGETS}.isdisjoint(
        k.removeprefix("craft.") for k in keys
    ):
        document["craft"] = {key: value for key, value in craft.items() if key not in TARGETS}
    return document


def changed(document: Any, changes: list[str] | None) -> Any:
    """Apply ``--set key=value`` changes to a document and return it.

    Raises
    ------
    InvalidSpec
        A change names no place in the document.
    """
    for change in changes or ():
        _apply(document, change)
    return document


def assigned(option: str, given: list[str] | None) -> dict[str, Any]:
    """Return the values of a repeatable ``NAME=VALUE`` option, read as YAML reads them.

    >>> assigned("--argument", ["depth=2", "norm=batch", "sizes=[8, 16]"])
    {'depth': 2, 'norm': 'batch', 'sizes': [8, 16]}
    """
    import yaml

    from raiw.readers.documents import read_yaml

    values = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidInput(f"{option} {text!r}: write NAME=VALUE")
        try:
            values[name] = read_yaml(value)
        except yaml.YAMLError as error:
            raise InvalidInput(f"{option} {text!r}: {value!r} is not a value: {error}") from None
    return values


def notes(given: list[str] | None) -> dict[str, str]:
    """Return the values of ``--metadata``, which are texts.

    >>> notes(["commit=08e7f1"])
    {'commit': '08e7f1'}
    """
    pairs = [text.partition("=") for text in given or ()]
    for name, equals, value in pairs:
        if not name or not equals:
            raise InvalidInput(f"--metadata {name + equals + value!r}: write NAME=TEXT")
    return {name: value for name, _, value in pairs}


def _apply(document: dict[str, Any], change: str) -> None:
    import yaml

    from raiw.readers.documents import read_yaml

    key, equals, text = change.partition("=")
    if not key or not equals:
        raise InvalidInput(f"--set {change!r} must be KEY=VALUE, as in --set craft.degree=16")
    *path, last = key.split(".")
    where: Any = document
    for step in path:
        where = _member(where, step, change)
    try:
        value = read_yaml(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"--set {change!r}: {text!r} is not a value: {error}") from None
    if isinstance(where, list):
        where[_index(where, last, change)] = value
    elif isinstance(where, dict):
        where[last] = value
    else:
        raise InvalidSpec(f"--set {change!r}: {'.'.join(path)} holds a value, not fields")


def _member(where: Any, step: str, change: str) -> Any:
    if isinstance(where, list):
        return where[_index(where, step, change)]
    if isinstance(where, dict):
        return where.setdefault(step, {})
    raise InvalidSpec(f"--set {change!r}: there is nothing below {step!r}")


def _index(where: list[Any], step: str, change: str) -> int:
    if step.isdecimal() and int(step) < len(where):
        return int(step)
    raise InvalidSpec(f"--set {change!r}: {step!r} must be a position from 0 to {len(where) - 1}")


def seconds(text: str | None) -> float | None:
    """Return the seconds of a duration; None stays None.

    >>> seconds("1h30m"), seconds("45"), seconds("0.5s")
    (5400.0, 45.0, 0.5)
    """
    if text is None:
        return None
    found = _DURATION.fullmatch(text.strip())
    if not found or not any(found.groups()):
        raise InvalidInput(f"--timeout {text!r} is not a duration: write 90, 45s, 30m or 1h30m")
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    try:
        limit = timedelta(hours=hours, minutes=minutes, seconds=rest)
    except OverflowError:
        limit = timedelta.max
    if limit > _LONGEST:
        raise InvalidInput(f"--timeout {text!r} is more than a year: leave it out to wait for ever")
    return limit.total_seconds()


def chosen_server(server: str | None, *, local: bool) -> str | None:
    """Return the URL to use, None for this machine: --local, then --server, then RAIW_URL."""
    if local and server:
        raise InvalidInput("give --local or --server, not both")
    return None if local else server or os.environ.get("RAIW_URL") or None


def connect(server: str | None, limit: float | None = None) -> "Client":
    """Return a client of the server asked for, which may be used for ``limit`` seconds."""
    from raiw.client import Client

    return Client(server, deadline=limit)
