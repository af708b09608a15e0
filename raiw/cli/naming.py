"""The network that a command is given."""

from pathlib import Path
from typing import TYPE_CHECKING

from raiw.cli.options import assigned
from raiw.errors import InvalidInput

if TYPE_CHECKING:
    from raiw.jobs.network import NamedNetwork


def named_network(
    name: str, arguments: list[str] | None, pruned: Path | None, shape: str | None
) -> "NamedNetwork":
    """Return a network by its name and the values of --argument, --pruned and --input."""
    from raiw import extras
    from raiw.masks.channels import load

    network: NamedNetwork = extras.load("raiw.jobs.network").NamedNetwork(
        name=name,
        arguments=assigned("--argument", arguments),
        channels=None if pruned is None else load(pruned),
        input_shape=None if shape is None else numbers("--input", shape),
    )
    return network


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Return whole numbers of at least 1."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise InvalidInput(
            f"{option} {text!r}: give whole numbers of at least 1, separated by commas"
        )
    return tuple(map(int, parts))


def decimals(option: str, text: str) -> list[float]:
    """Return decimal numbers."""
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InvalidInput(
            f"{option} {text!r}: write numbers separated by commas, as in 0.05,0.1"
        ) from None
