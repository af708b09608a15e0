"""Server-sent events: the few lines of the format that a client reads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One dispatched event."""

    id: str
    event: str
    data: str


def parse_events(lines: Iterable[str]) -> Iterator[ServerEvent]:
    r"""Yield the events of a stream's lines; comments, which keep it alive, are skipped.

    >>> list(parse_events(["id: 7", "event: log", "data: a", "data: b", "", ": ping", ""]))
    [ServerEvent(id='7', event='log', data='a\nb')]
    """
    last_id, event, data = "", "message", list[str]()
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield ServerEvent(last_id, event, "\n".join(data))
            event, data = "message", []
        elif field == "id":
            last_id = value
        elif field == "event":
            event = value
        elif field == "data":
            data.append(value)
