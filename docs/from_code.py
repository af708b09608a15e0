"""The pages of the reference that are made of the code: Python, the command, the REST API."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from typer.main import get_command

import raiw
from raiw.cli.app import app

HERE = Path(__file__).parent


def write(folder: Path) -> None:
    """Write every page into ``folder``."""
    folder.mkdir(exist_ok=True)
    for name, lines in (("python", python()), ("commands", commands()), ("rest", rest())):
        (folder / f"{name}.md").write_text("\n".join(lines) + "\n", "utf-8")


def python() -> Iterator[str]:
    """Yield the page of what ``raiw`` exports, from its docstrings."""
    yield "# Python"
    yield "\nEvery name here is an attribute of `raiw`, imported when it is first used.\n"
    for name in raiw.__all__:
        kind = "class" if inspect.isclass(getattr(raiw, name)) else "function"
        yield f"## {name}\n\n```{{eval-rst}}\n.. auto{kind}:: raiw.{name}"
        yield "   :members:\n```\n" if kind == "class" else "```\n"


def commands() -> Iterator[str]:
    """Yield the page of the verbs of ``raiw``, as ``-h`` prints them."""
    yield "# Every verb"
    yield "\nWhat `raiw VERB -h` prints; [the command](../command.md) has what holds for all.\n"
    group: Any = get_command(app)
    context = click.Context(group, info_name="raiw", terminal_width=100, max_content_width=100)
    for name in group.list_commands(context):
        yield from _verb(group.get_command(context, name), name, context)


def _verb(command: Any, name: str, above: click.Context) -> Iterator[str]:
    context = type(above)(
        command, info_name=name, parent=above, terminal_width=100, max_content_width=100
    )
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context).strip()}\n```\n"
    for inner in getattr(command, "commands", {}):
        yield from _verb(command.commands[inner], inner, context)


def rest() -> Iterator[str]:
    """Yield the page of the routes, from the description that the server publishes."""
    yield "# REST"
    yield (
        "\nEvery route of [openapi.json](../openapi.json), which has parameters, bodies, headers, "
        "errors and examples. [The service](../service.md) tells how they work together.\n"
    )
    yield "| route | what it does |\n|---|---|"
    for path, methods in json.loads((HERE / "openapi.json").read_text("utf-8"))["paths"].items():
        for method, operation in methods.items():
            told = operation.get("description", operation["summary"]).split("\n\n")[0]
            cell = " ".join(told.split()).replace("|", r"\|")
            yield f"| `{method.upper()} {path}` | {cell} |"
