"""Every command by its name: raiw's own and those of other packages, imported when called."""

from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from raiw.errors import MissingExtra

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PLUGINS = "raiw.commands"
"""Entry-point group of further commands: functions with typer annotations, or typer groups."""

MODULES = {
    "crafting": ("plan", "craft", "key"),
    "budgeting": ("budget",),
    "inspecting": ("show", "verify", "export"),
    "checking": ("check", "lock"),
    "differing": ("diff",),
    "drawing": ("draw",),
    "reading": ("spec",),
    "listing": ("networks", "presets", "methods", "data"),
    "networks": ("score", "prune", "train"),
    "layers": ("sensitivity", "afie"),
    "combining": ("combine",),
    "measuring": ("speed", "compact"),
    "reproducing": ("reproduce",),
    "studying": ("study",),
    "searching": ("search",),
    "jobs": ("jobs", "pull"),
    "webhooks": ("webhooks",),
    "login": ("login", "logout"),
    "caching": ("cache",),
    "doctor": ("doctor",),
}
"""The names of commands by the module of ``raiw.cli`` that has them, in the order of the help."""

Plugin = Callable[..., None] | typer.Typer

_HOMES = {name: module for module, names in MODULES.items() for name in names}


class Commands(TyperGroup):
    """A group whose commands are imported when they are called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands = dict.fromkeys(_HOMES, TyperCommand(None))  # typer looks at the names

    def list_commands(self, ctx: Any) -> list[str]:
        """Return raiw's own commands first, then the others."""
        return [*super().list_commands(ctx), *_plugins()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 -- typer's signature
        """Return a command; its module is imported only here."""
        plain = typer.Typer(add_completion=False, rich_markup_mode=None)
        if cmd_name in _HOMES:
            plain.add_typer(_own(cmd_name))
        elif cmd_name in _plugins():
            _add(plain, cmd_name, _load(_plugins()[cmd_name]))
        else:
            return None
        return get_group(plain).commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with the beginnings of their help, without their options."""
        names = self.list_commands(ctx)
        width = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(name, width)) for name in names])


def _add(to: typer.Typer, name: str, command: Plugin) -> None:
    if isinstance(command, typer.Typer):
        to.add_typer(command, name=name)
    else:
        to.command(name)(command)


def _own(name: str) -> typer.Typer:
    commands: typer.Typer = import_module(f"raiw.cli.{_HOMES[name]}").commands
    return commands


def _summary(name: str, width: int) -> str:
    help_ = _own_help(name) if name in _HOMES else _help_of(_load(_plugins()[name]))
    return TyperCommand(name, help=cleandoc(str(help_))).get_short_help_str(width)


def _help_of(command: Plugin) -> str | None:
    return command.info.help if isinstance(command, typer.Typer) else command.__doc__


def _own_help(name: str) -> str | None:
    commands = _own(name)
    for command in commands.registered_commands:
        if command.callback is not None and name in {command.name, command.callback.__name__}:
            return command.callback.__doc__
    (group,) = (group for group in commands.registered_groups if group.name == name)
    return group.typer_instance.info.help if group.typer_instance else None


@cache
def _plugins() -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=PLUGINS)}


def _load(point: "EntryPoint") -> Plugin:
    """Return a command's function, or a group of commands.

    A missing dependency becomes advice, now or when it runs.
    """
    try:
        function: Plugin = point.load()
    except (ImportError, AttributeError) as error:
        advice = _advice(point.name, error)

        def unavailable() -> None:
            """Needs: pip install 'raiw[server]'."""
            raise advice

        return unavailable
    if isinstance(function, typer.Typer):
        return function

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except ModuleNotFoundError as error:
            raise _advice(point.name, error) from error

    return command


def _advice(name: str, error: Exception) -> MissingExtra:
    return MissingExtra(f"raiw {name} cannot run ({error}): pip install 'raiw[server]'")
