"""``raiw webhooks``: addresses that a server notifies when jobs change."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli.examples import examples
from raiw.cli.options import JsonOption, QuietOption, ServerOption, connect
from raiw.cli.output import Output

if TYPE_CHECKING:
    from raiw.cli.table import Table

commands = typer.Typer()
webhooks = typer.Typer(
    help="Have a server notify an address when jobs change.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
commands.add_typer(webhooks, name="webhooks")

WebhookArgument = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Id of the webhook.")]


@webhooks.command(
    epilog=examples(
        "raiw webhooks create https://ci.example.org/raiw --event job.succeeded --event job.failed"
    )
)
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to send: https.")],
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            metavar="EVENT",
            help="job.started, job.succeeded, job.failed, job.canceled or job.expired; repeatable; "
            "all but the first without.",
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What it is for.")] = "",
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Register an address, and print the secret of its signatures: it is shown this once."""
    out = Output(json=json, quiet=quiet)
    with connect(server) as client:
        made = client.webhooks.create(url, event, note)
    _print_secret(out, made)


@webhooks.command("ls", epilog=examples("raiw webhooks ls --json"))
def list_webhooks(
    server: ServerOption = None, *, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """List the webhooks, newest first, with how much waits for each."""
    from raiw.cli.tables import webhook_table

    out = Output(json=json, quiet=quiet)
    with connect(server) as client:
        items = client.webhooks.list()
    out.items(items, lambda: webhook_table(items))


@webhooks.command("rm", epilog=examples("raiw webhooks rm WEBHOOK"))
def remove(
    webhook: WebhookArgument,
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove a webhook, with its deliveries and what waits for it."""
    out = Output(json=json, quiet=quiet)
    with connect(server) as client:
        client.webhooks.remove(webhook)
    if out.json:
        out.document({"id": webhook, "removed": True})
    else:
        out.note(f"removed {webhook}")


@webhooks.command(epilog=examples("raiw webhooks enable WEBHOOK"))
def enable(
    webhook: WebhookArgument,
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Send again after a webhook was disabled, beginning with what waits."""
    from raiw.cli.tables import webhook_table

    out = Output(json=json, quiet=quiet)
    with connect(server) as client:
        view = client.webhooks.enable(webhook)
    _print_one(out, view, webhook_table([view]))


@webhooks.command(epilog=examples("raiw webhooks rotate WEBHOOK -q"))
def rotate(
    webhook: WebhookArgument,
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Replace the secret and print the new one; for a day the earlier one signs too."""
    out = Output(json=json, quiet=quiet)
    with connect(server) as client:
        made = client.webhooks.rotate(webhook)
    _print_secret(out, made)


@webhooks.command(epilog=examples("raiw webhooks deliveries WEBHOOK --status failed"))
def deliveries(
    webhook: WebhookArgument,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", metavar="STATUS", help="Only pending, delivered or failed deliveries."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most deliveries to list.")] = 20,
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List what was, is or will be sent to a webhook, newest first."""
    from raiw.cli.tables import delivery_table

    out = Output(json=json, quiet=quiet)
    with connect(server) as client:
        items = [*islice(client.webhooks.deliveries(webhook, status), limit)]
    out.items(items, lambda: delivery_table(items))


@webhooks.command(epilog=examples("raiw webhooks redeliver WEBHOOK DELIVERY"))
def redeliver(
    webhook: WebhookArgument,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Id of the delivery.")],
    server: ServerOption = None,
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Send a message again now, under the id it has, whatever became of it."""
    from raiw.cli.tables import delivery_table

    out = Output(json=json, quiet=quiet)
    with connect(server) as client:
        view = client.webhooks.redeliver(webhook, delivery)
    _print_one(out, view, delivery_table([view]))


def _print_secret(out: Output, made: dict[str, Any]) -> None:
    if out.json:
        out.document(made)
    elif out.quiet:
        out.line(made["secret"])
    else:
        out.line(f"{made['id']}\t{made['secret']}")
        out.note("keep the secret now: it is not shown again")


def _print_one(out: Output, view: dict[str, Any], table: "Table") -> None:
    if out.json:
        out.document(view)
    elif out.quiet:
        out.line(view["id"])
    else:
        out.tables(table)
