"""Many requests over a few connections, at little cost of their own: bytes out, status and body in.

A client with all the comforts takes as long for a request as the server: it would be measured
instead.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Measured:
    """What came back, and how soon."""

    seconds: float = 0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    bytes: int = 0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def share(self, part: float) -> float:
        """Return the latency in milliseconds that ``part`` of the requests stay below."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """Return a request as it is sent."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def send(url: str, requests: Iterator[bytes], *, count: int, connections: int) -> Measured:
    """Send ``count`` requests, the next on each connection as soon as the last is answered."""
    return asyncio.run(_send(url, itertools.islice(requests, count), connections))


async def _send(url: str, requests: Iterator[bytes], connections: int) -> Measured:
    address, measured = urlsplit(url), Measured()
    opened = [
        await asyncio.open_connection(address.hostname, address.port, limit=1 << 20)
        for _ in range(connections)
    ]
    began = time.perf_counter()
    await asyncio.gather(*(_use(*streams, requests, measured) for streams in opened))
    measured.seconds = time.perf_counter() - began
    for _, writer in opened:
        writer.close()
    return measured


async def _use(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    requests: Iterator[bytes],
    measured: Measured,
) -> None:
    for one in requests:
        began = time.perf_counter()
        writer.write(one)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        size = await _body(reader, head) if status != 304 else 0
        measured.bytes += size  # others have added theirs meanwhile
        measured.latencies.append(time.perf_counter() - began)
        measured.statuses[status] += 1


async def _body(reader: asyncio.StreamReader, head: bytes) -> int:
    """Take a body; return how many bytes it had."""
    if b"transfer-encoding: chunked" in head:
        total = 0
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
            total += size
        await reader.readline()
        return total
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    left = length
    while left:
        left -= len(await reader.read(min(left, 1 << 20)))
    return length
