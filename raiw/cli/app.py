"""The command line: what stands before every command, and how errors end."""

import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from typer.main import get_command

from raiw.cli import exits
from raiw.cli.commands import Commands
from raiw.cli.output import Output, complain
from raiw.cli.terminal import prepare
from raiw.errors import InvalidInput, RaiwError

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
        from importlib.metadata import version

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
    except typer.Abort:  # Ctrl-C, or the end of the input, at a question
        complain("")
        return exits.INTERRUPTED
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
