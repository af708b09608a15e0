"""``raiw keys``: the keys of a deployment, made and ended on a host that reaches its database.

A key is printed once, alone on standard output, and is never an argument of a command. The same is
done over HTTP by ``/v1/keys``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption
from raiw.cli.output import Output
from raiw.names import check_name
from service.contract.access import SCOPES

if TYPE_CHECKING:
    from service.contract.keys import KeyView, NewKey
    from service.jobs.sealing import Seal
    from service.jobs.services import Services

keys = typer.Typer(
    help="Make, list, rotate and revoke the keys of a deployment, in its database.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
"""They take the RAIW_ variables of the server."""

ALL = "all"
KeyArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of a key, as ls shows it.")]
DaysOption = Annotated[
    float | None, typer.Option("--days", min=0, help="Days until the new key expires.")
]


@keys.command(epilog=examples("raiw keys create --owner ci --scope jobs:write --scope masks:read"))
def create(
    owner: Annotated[str, typer.Option(help="Whose it is; a new name makes a new owner.")],
    scope: Annotated[
        list[str],
        typer.Option(help=f"What it allows, repeatable: {ALL}, {', '.join(sorted(SCOPES))}."),
    ],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: DaysOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a key and print it, this once.

    With --scope all it may do everything, also to what is not its owner's: make and end keys.
    """
    from service.contract.keys import KeyRequest
    from service.jobs.keys import create as run

    request = KeyRequest.parse(
        {"owner": owner, "name": name, "scopes": _scopes(scope), "expires_at": _after(days)}
    )
    with _opened() as (services, seal):
        _print(run(services, seal, request), json=json, quiet=quiet)


@keys.command("ls", epilog=examples("raiw keys ls"))
def list_(*, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List the keys of all owners, newest first; their secrets are not kept."""
    from raiw.cli.table import Column, Table

    out = Output(json=json, quiet=quiet)
    with _opened() as (services, _):
        found = [*_every(services)]
    titles = ("key", "owner", "name", "state", "last used")
    table = Table([*map(Column, titles), Column("scopes", prose=True)])
    for key in found:
        used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
        scopes = ALL if {*key.scopes} == SCOPES else " ".join(key.scopes)
        table.add(key.id, key.owner, key.name, _state(key), used, scopes)
    out.items([key.model_dump(mode="json") for key in found], lambda: table)


@keys.command()
def rotate(
    key_id: KeyArgument,
    overlap_hours: Annotated[
        float, typer.Option(min=0, help="Hours for which the old key stays valid.")
    ] = 0,
    days: DaysOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a key that replaces another, and print it, this once."""
    from service.contract.keys import RotationRequest
    from service.jobs.keys import rotate as run

    request = RotationRequest.parse(
        {"overlap_seconds": 3600 * overlap_hours, "expires_at": _after(days)}
    )
    with _opened() as (services, seal):
        _print(run(services, seal, key_id, request), json=json, quiet=quiet)


@keys.command()
def revoke(key_id: KeyArgument, *, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """End a key; servers refuse it within RAIW_KEY_CACHE_SECONDS."""
    from service.jobs.keys import get_key
    from service.jobs.keys import revoke as run

    out = Output(json=json, quiet=quiet)
    with _opened() as (services, _):
        run(services, key_id)
        view = get_key(services, key_id)
    out.note(f"the key {key_id} of {view.owner} is revoked")
    if out.json:
        out.document(view.model_dump(mode="json"))


@contextmanager
def _opened() -> "Iterator[tuple[Services, Seal]]":
    from service.embedded.state import make_folder
    from service.jobs.sealing import Seal
    from service.jobs.services import Services
    from service.logs import configure_logs
    from service.settings import load_settings
    from service.store.migrate import migrate

    settings = load_settings()
    configure_logs("keys", settings.log_level)
    if not settings.database_url:
        make_folder(settings.state_dir)
    migrate(settings)
    services = Services.open(settings)
    try:
        yield services, Seal(settings)
    finally:
        services.database.close()


def _every(services: "Services") -> "Iterator[KeyView]":
    from service.contract.queries import KeyQuery
    from service.jobs.keys import list_keys

    token = ""
    while True:
        page = list_keys(services, KeyQuery(page_size=200, page_token=token))
        yield from page.items
        token = page.next_page_token
        if not token:
            return


def _print(made: "NewKey", *, json: bool, quiet: bool) -> None:
    out = Output(json=json, quiet=quiet)
    until = f", until {made.expires_at:%Y-%m-%d %H:%M} UTC" if made.expires_at else ""
    out.note(
        f"the key {made.id} of {made.owner} allows {' '.join(made.scopes)}{until}; keep it now, "
        f"as it is not shown again"
    )
    if out.json:
        out.document(made.model_dump(mode="json"))
    else:
        out.line(made.key)


def _scopes(given: list[str]) -> list[str]:
    if ALL in given:
        return sorted(SCOPES)
    for scope in given:
        check_name(scope, [ALL, *sorted(SCOPES)], "scope")
    return given


def _after(days: float | None) -> str | None:
    return None if days is None else (datetime.now(UTC) + timedelta(days=days)).isoformat()


def _state(key: "KeyView") -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "valid"
    if key.expires_at <= datetime.now(UTC):
        return "expired"
    return f"until {key.expires_at:%Y-%m-%d}"
