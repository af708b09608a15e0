"""What forty small requests can do to a server: the worst answer of ``/livez``, the most memory.

Run as ``python -m tests.bench.hostile``. A real ``raiw serve`` without a worker gets forty bodies
of at most 4 MiB, as bad as we could think of: first one after the other, then all at once, while
another process asks ``/livez`` every few milliseconds. The floor is the same question to the same
server before, when nothing else is asked.
"""

import itertools
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Self

import httpx

from service.tether import tied

MOST = 4 << 20
JSON = {"Content-Type": "application/json"}
Case = tuple[str, str, str, bytes]
"""Name, method, path and body."""


def filled(before: str, item: str, after: str, most: int = MOST) -> bytes:
    """Return a text with as many items as fit."""
    count = (most - len(before) - len(after)) // (len(item) + 1)
    return (before + ",".join(itertools.repeat(item, count)) + after).encode()


def numbered(before: str, item: str, after: str, count: int, most: int = MOST) -> bytes:
    """Return a text with ``count`` items, or as many as fit, each with its number for ``#``."""
    parts, size = [], len(before) + len(after)
    for number in range(count):
        part = item.replace("#", str(number))
        size += len(part) + 1
        if size > most:
            break
        parts.append(part)
    return (before + ",".join(parts) + after).encode()


LINEAR = '{"name":"l#","kind":"linear","in_features":64,"out_features":64}'
LONG = '{"name":"' + "a" * 190 + '#","kind":"linear","in_features":64,"out_features":64}'
CONV = '{"name":"c#","kind":"conv1d","in_channels":1,"out_channels":1,"kernel_size":#}'
GROUPS = (
    '{"name":"g#","kind":"conv2d","in_channels":16777216,"out_channels":16777216,'
    '"groups":16777216,"kernel_size":1}'
)


def spec(layers: bytes, craft: str) -> bytes:
    return b'{"spec":{"layers":' + layers + b',"craft":' + craft.encode() + b"}}"


def layers(item: str, count: int, most: int = MOST - 2000) -> bytes:
    return numbered("[", item, "]", count, most)


def rules(item: str, count: int, most: int) -> str:
    return '{"degree":1,"rules":' + numbered("[", item, "]", count, most).decode() + "}"


def bodies() -> Iterator[Case]:
    """Yield the cases."""
    plan, jobs = "/v1/plan", "/v1/jobs"
    for path in (plan, jobs):
        yield "rules: [0, 0 …]", "POST", path, filled('{"spec":{"craft":{"rules":[', "0", "]}}}")
        yield "layers: [0, 0 …]", "POST", path, filled('{"spec":{"layers":[', "0", "]}}")
    kernel = '{"spec":{"layers":[{"name":"c","kind":"conv2d","in_channels":1,"out_channels":1,'
    yield "kernel_size: [0, 0 …]", "POST", plan, filled(kernel + '"kernel_size":[', "0", "]}]}}")
    for name, item in (("lists", "[]"), ("objects", "{}"), ("numbers", "1.5"), ("texts", '"ab"')):
        yield f"many {name}", "POST", plan, filled("[", item, "]")
        few = filled("[", item, "]", 299_000 * (len(item) + 1))
        yield f"as many {name} as are decoded", "POST", plan, few
    yield "many keys", "POST", plan, numbered('{"spec":{', '"k#":0', "}}", 1 << 20)
    yield "deep lists", "POST", plan, b"[" * MOST
    yield "deep objects", "POST", plan, b'{"a":' * (MOST // 6)
    yield "a long key", "POST", plan, b'{"' + b"k" * (MOST - 8) + b'":1}'
    yield "a long model", "POST", plan, b'{"spec":{"model":"' + b"v" * (MOST - 30) + b'"}}'
    yield "a long kind", "POST", jobs, b'{"kind":"' + b"v" * (MOST - 30) + b'"}'
    yield "a long number", "POST", plan, b'{"spec":' + b"9" * (MOST - 30) + b"}"
    yield "a long layer kind", "POST", plan, spec(b'[{"kind":"' + b"x" * (MOST - 99) + b'"}]', "{}")
    yield "blanks", "POST", plan, b" " * MOST
    yield "faulty layers", "POST", plan, spec(layers('{"name":"l#","kind":"linear"}', 10_000), "{}")
    yield (
        "faulty rules",
        "POST",
        plan,
        spec(b"[]", rules('{"match":0,"n":"x","q":1}', 20_000, MOST - 99)),
    )
    yield (
        "unknown fields",
        "POST",
        plan,
        spec(layers('{"name":"l#","kind":"linear","in_featurs":1}', 10_000), "{}"),
    )
    yield (
        "unknown keys of metadata",
        "POST",
        jobs,
        numbered('{"metadata":{', '"k#":"v"', "}}", 149_000),
    )
    yield "10,000 layers", "POST", plan, spec(layers(LINEAR, 10_000), '{"degree":1}')
    yield "10,000 layers as a job", "POST", jobs, spec(layers(LINEAR, 10_000), '{"degree":1}')
    yield "10,000 long names", "POST", plan, spec(layers(LONG, 10_000), '{"degree":1}')
    for name, glob in (
        ("1,000 globs", "*l#*"),
        ("globs for all", "*[!#x]*"),
        ("globs for all names", "?*"),
        ("names", "l#"),
        ("slow globs", "*" + "l*" * 60 + "#"),
    ):
        small = layers(LINEAR, 10_000, 1 << 20)
        told = rules(
            '{"match":"' + glob + '","degree":1}', 9999 if name == "names" else 1600, 3 << 20
        )
        yield name, "POST", plan, spec(small, told)
    yield (
        "slow globs, long names",
        "POST",
        plan,
        spec(
            layers(LONG, 10_000, 2 << 20),
            rules('{"match":"*' + "a*" * 80 + '#*","degree":1}', 9999, 2 << 20),
        ),
    )
    yield (
        "200 sizes of kernels",
        "POST",
        plan,
        spec(
            numbered("[", CONV, "]", 221).replace(b'"kernel_size":0', b'"kernel_size":7'),
            '{"parameters":5891}',
        ),
    )
    yield (
        "1,000 sizes of kernels",
        "POST",
        plan,
        spec(
            numbered("[", CONV, "]", 1001).replace(b'"kernel_size":0', b'"kernel_size":7'),
            '{"parameters":12345}',
        ),
    )
    yield (
        "erk over 10,000 layers",
        "POST",
        plan,
        spec(
            layers('{"name":"l#","kind":"linear","in_features":1#,"out_features":64}', 10_000),
            '{"parameters":1234567,"allocation":"erk"}',
        ),
    )
    yield "groups", "POST", plan, spec(layers(GROUPS, 10_000), '{"density":0.5}')
    radix = '{"name":"l#","kind":"linear","in_features":16777216,"out_features":16777216}'
    yield (
        "divisors",
        "POST",
        plan,
        spec(layers(radix, 10_000), '{"density":0.0,"algorithm":"radix"}'),
    )
    header = filled('{"__metadata__":{"a":[', "[]", "]}}", MOST - 8)
    yield (
        "a header of lists",
        "PUT",
        "/v1/blobs/sha256:" + "0" * 64,
        len(header).to_bytes(8, "little") + header,
    )
    yield "10 million bytes said, none sent", "POST", "/v1/uploads", b'{"digest":"x","bytes":1e999}'


def watch(url: str, ready: Event, stop: Event, worst: Any) -> None:
    """Ask ``/livez`` until told to stop; keep the slowest answers."""
    times = []
    with httpx.Client(base_url=url, timeout=120) as http:
        http.get("/livez")
        ready.set()
        while not stop.is_set():
            began = time.perf_counter()
            http.get("/livez").raise_for_status()
            times.append(time.perf_counter() - began)
            time.sleep(0.005)
    worst.put(times)


class Watched:
    """Between ``with`` and its end ``/livez`` is asked by a process of its own."""

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop, self._queue = context.Event(), context.Queue()
        ready = context.Event()
        self._process = context.Process(target=watch, args=(url, ready, self._stop, self._queue))
        self._process.start()
        ready.wait()
        self.times: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.times = self._queue.get()
        self._process.join()

    @property
    def worst(self) -> float:
        return 1000 * max(self.times)


def peak_mib(pid: int) -> int:
    """Return the most memory a process had, and start anew."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return int(peak.split()[1]) // 1024


def send(http: httpx.Client, case: Case) -> tuple[int, int, float]:
    """Return status, bytes and seconds of an answer."""
    _, method, path, body = case
    headers = JSON if method == "POST" else {}
    began = time.perf_counter()
    answer = http.request(method, path, content=body, headers=headers)
    return answer.status_code, len(answer.content), time.perf_counter() - began


def measure(url: str, pid: int) -> None:
    cases = list(bodies())
    assert all(len(body) <= MOST + 8 for *_, body in cases), "bodies of at most 4 MiB"
    with Watched(url) as idle:
        time.sleep(2)
    floor = idle.worst
    print(
        f"{len(cases)} bodies; /livez when idle: worst {floor:.1f} ms, "
        f"median {1000 * statistics.median(idle.times):.1f} ms; memory {peak_mib(pid)} MiB\n"
    )
    print(f"{'':34}{'KiB':>6} {'answer':>7} {'bytes':>9} {'seconds':>8} {'/livez':>13} {'MiB':>5}")
    worst, most, failed = 0.0, 0, 0
    with httpx.Client(base_url=url, timeout=120) as http:
        for case in cases:
            with Watched(url) as seen:
                status, size, seconds = send(http, case)
            memory = peak_mib(pid)
            worst, most, failed = (
                max(worst, seen.worst),
                max(most, memory),
                failed + (status >= 500),
            )
            print(
                f"{case[0]:34}{len(case[3]) >> 10:6} {status:7} {size:9} {seconds:8.2f} "
                f"{seen.worst:10.1f} ms {memory:5}"
            )
    print(
        f"\none by one:  worst /livez {worst:.0f} ms ({worst / floor:.0f} × idle), "
        f"most memory {most} MiB, {failed} × 5xx"
    )
    with Watched(url) as seen, ThreadPoolExecutor(len(cases)) as pool:
        local = threading.local()

        def one(case: Case) -> int:
            local.http = httpx.Client(base_url=url, timeout=300)
            return send(local.http, case)[0]

        statuses = list(pool.map(one, cases))
    busy = statuses.count(503)
    failed = sum(status >= 500 for status in statuses) - busy
    print(
        f"all at once: worst /livez {seen.worst:.0f} ms ({seen.worst / floor:.0f} × idle), "
        f"most memory {peak_mib(pid)} MiB, {busy} × 503, {failed} × other 5xx"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="raiw-hostile-") as folder:
        command = ["serve", "--port", "0", "--state-dir", folder, "--no-worker"]
        process = subprocess.Popen(
            tied(sys.executable, "-m", "raiw", *command),
            stdout=subprocess.PIPE,
            stderr=(Path(folder) / "log").open("wb"),
            text=True,
        )
        try:
            url = process.stdout.readline().split()[4] if process.stdout else ""
            measure(url, process.pid)
        finally:
            process.terminate()
            process.communicate()


if __name__ == "__main__":
    main()
