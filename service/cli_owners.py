"""``raiw owners``: what each owner has and may have, read and set in the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption
from raiw.cli.output import Output
from raiw.errors import InvalidInput

if TYPE_CHECKING:
    from service.jobs.services import Services

owners = typer.Typer(
    help="List owners with what they use, and set their quotas, in the database of a deployment.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
"""They take the RAIW_ variables of the server."""

DEFAULT = "default"
_LARGEST = (1 << 63) - 1


@owners.command("ls", epilog=examples("raiw owners ls"))
def list_(*, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List all owners: jobs under way, bytes of files, cells of a day, and the quotas in force."""
    from raiw.cli.table import Column, Table
    from service.jobs.quotas import accounts

    out = Output(json=json, quiet=quiet)
    with _opened() as services:
        found = accounts(services)
    numbers = [
        Column(title, right=True)
        for title in ("jobs", "at most", "bytes", "at most", "cells a day", "at most", "a job")
    ]
    table = Table([Column("owner"), *numbers])
    for account in found:
        allowed = account.allowed
        jobs = f"{account.jobs:,}", _most(allowed.jobs)
        stored = f"{account.bytes:,}", _most(allowed.bytes)
        cells = f"{account.daily_cells:,}", _most(allowed.daily_cells), _most(allowed.cells)
        table.add(account.owner, *jobs, *stored, *cells)
    out.items([asdict(account) for account in found], lambda: table, "owner")


@owners.command("set", epilog=examples("raiw owners set ci --jobs 500 --cells default"))
def set_(
    owner: Annotated[str, typer.Argument(metavar="NAME", help="Name of the owner.")],
    jobs: Annotated[str, typer.Option(help="Most queued and running jobs.")] = "",
    size: Annotated[str, typer.Option("--bytes", help="Most bytes of files and uploads.")] = "",
    cells: Annotated[str, typer.Option(help="Most possible edges of one job.")] = "",
    daily_cells: Annotated[
        str, typer.Option(help="Most possible edges of the jobs of any 24 hours.")
    ] = "",
    *,
    quiet: QuietOption = False,
) -> None:
    """Give an owner quotas of his own: a number, 0 for no limit, or 'default' for the setting.

    What is not named stays as it is. Servers follow at once; what is stored or under way stays.
    """
    from service.jobs.quotas import change

    given = {"jobs": jobs, "bytes": size, "cells": cells, "daily_cells": daily_cells}
    wanted = {name: _limit(name, text) for name, text in given.items() if text}
    if not wanted:
        raise InvalidInput("name a quota: --jobs, --bytes, --cells or --daily-cells")
    with _opened() as services:
        change(services, owner, wanted)
    Output(json=False, quiet=quiet).note(f"the quotas of {owner} are set")


def _most(limit: int | None) -> str:
    return f"{limit:,}" if limit else "any"


def _limit(name: str, text: str) -> int | None:
    if text == DEFAULT:
        return None
    if not text.isascii() or not text.isdecimal() or int(text) > _LARGEST:
        option = f"--{name.replace('_', '-')}"
        raise InvalidInput(
            f"{option} {text!r} is not a whole number up to {_LARGEST}, nor {DEFAULT!r}"
        )
    return int(text)


@contextmanager
def _opened() -> Iterator["Services"]:
    from service.jobs.services import Services
    from service.logs import configure_logs
    from service.settings import load_settings
    from service.store.migrate import require_compatible

    settings = load_settings()
    configure_logs("owners", settings.log_level)
    services = Services.open(settings)
    try:
        require_compatible(services.database)
        yield services
    finally:
        services.database.close()
