"""The command line put together: own commands, those of other packages, and how errors end."""

import os
import sys
from collections.abc import Callable
from functools import cache, wraps
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from raiw.cli import (
    budgeting,
    caching,
    checking,
    crafting,
    differing,
    doctor,
    drawing,
    exits,
    inspecting,
    listing,
    login,
    measuring,
    networks,
    reading,
    reproducing,
    searching,
    studying,
)
from raiw.cli import jobs as server_jobs
from raiw.cli.output import Output
from raiw.cli.terminal import prepare
from raiw.errors import InvalidInput, MissingExtra, RaiwError

PLUGINS = "raiw.commands"
"""Entry-point group of further commands: functions with typer annotations."""


class Commands(TyperGroup):
    """A group that finds more commands in the installed packages."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return raiw's own commands first, then the others."""
        return [*super().list_commands(ctx), *_plugins()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; one from another package is imported only here."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in _plugins():
            return own
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(_load(_plugins()[cmd_name]))
        return get_command(single)


app = typer.Typer(
    cls=Commands,
    help="Craft sparse neural-network connectivity: exact regular masks of large graph entropy.",
    epilog=exits.MEANING,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        Output().line(f"raiw {version('raiw')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    del show_version  # its callback has done the work


app.add_typer(crafting.commands)
app.add_typer(budgeting.commands)
app.add_typer(inspecting.commands)
app.add_typer(checking.commands)
app.add_typer(differing.commands)
app.add_typer(drawing.commands)
app.add_typer(reading.commands)
app.add_typer(listing.commands)
app.add_typer(networks.commands)
app.add_typer(measuring.commands)
app.add_typer(reproducing.commands)
app.add_typer(studying.commands)
app.add_typer(searching.commands)
app.add_typer(server_jobs.jobs, name="jobs")
app.add_typer(server_jobs.commands)
app.add_typer(login.commands)
app.add_typer(caching.commands)
app.add_typer(doctor.commands)


def main() -> None:
    """Run the command line and exit."""
    prepare()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit status."""
    as_json = "--json" in arguments
    try:
        status = get_command(app)(arguments, prog_name="raiw", standalone_mode=False)
        return int(status or 0)
    except typer.TyperException as error:
        return _usage_error(error, as_json=as_json)
    except RaiwError as error:
        return _failed(error, as_json=as_json)
    except BrokenPipeError:
        # The reader of our output has gone; keep Python from complaining at exit too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.BROKEN_PIPE
    except OSError as error:
        if error.filename is None:
            raise
        words = f"{str(error.filename)!r}: {error.strerror}; give another path, or change this one"
        return _failed(InvalidInput(words), as_json=as_json)


@cache
def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=PLUGINS)}


def _load(point: EntryPoint) -> Callable[..., None]:
    """Return a command's function; a missing dependency becomes advice, now or when it runs."""
    try:
        function: Callable[..., None] = point.load()
    except (ImportError, AttributeError) as error:
        advice = _advice(point.name, error)

        def unavailable() -> None:
            """Needs: pip install 'raiw[server]'."""
            raise advice

        return unavailable

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except ModuleNotFoundError as error:
            raise _advice(point.name, error) from error

    return command


def _advice(name: str, error: Exception) -> MissingExtra:
    return MissingExtra(f"raiw {name} cannot run ({error}): pip install 'raiw[server]'")


def _failed(error: RaiwError, *, as_json: bool) -> int:
    Output(json=as_json).error(error)
    return exits.exit_status(error)


def _usage_error(error: typer.TyperException, *, as_json: bool) -> int:
    if as_json:
        message = error.format_message()
        fault = {"code": "usage", "title": "The command is wrong", "message": message}
        Output().document({"error": {**fault, "pointer": None}})
    show: Callable[[], None] = error.show  # type: ignore[attr-defined]
    show()
    return exits.USAGE
