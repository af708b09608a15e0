"""``raiw login`` and ``raiw logout``: the token that a server asks for."""

import sys

import typer

from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption, ServerOption
from raiw.cli.output import Output
from raiw.errors import InvalidInput, NotFound

commands = typer.Typer()


@commands.command(epilog=examples("raiw login --server https://raiw.example.org < token.txt"))
def login(
    server: ServerOption = None, *, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Keep the key or token of a server, which is read from standard input or asked for.

    The server is asked first whether it takes it. It is kept in the system's keyring where the
    package keyring is installed, else in a file that only you can read. RAIW_TOKEN goes before it.
    """
    from raiw.client import Client
    from raiw.client.tokens import checked_token, checked_url, keep_token, server_url

    out = Output(json=json, quiet=quiet)
    url = checked_url(server_url(server))
    token = checked_token(_read(url), "the token")
    if token is None:
        raise InvalidInput("the token is empty: give it on standard input, or type it")
    with Client(url, token) as client:
        owner = client.whoami()["owner"]
    place = keep_token(url, token)
    out.note(f"{url} takes the token of {owner}; it is kept in {place}")
    if out.json:
        out.document({"server": url, "owner": owner, "kept_in": place})


@commands.command(epilog=examples("raiw logout --server https://raiw.example.org || test $? = 5"))
def logout(
    server: ServerOption = None, *, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Forget the token kept for a server."""
    from raiw.client.tokens import checked_url, forget_token, server_url

    out = Output(json=json, quiet=quiet)
    url = checked_url(server_url(server))
    if not forget_token(url):
        raise NotFound(f"no token is kept for {url}")
    out.note(f"the token for {url} is forgotten")
    if out.json:
        out.document({"server": url})


def _read(url: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.read(1 << 16)
    token: str = typer.prompt(f"Token for {url}", hide_input=True, err=True)
    return token
