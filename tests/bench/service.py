"""How long a job takes from ``POST`` to ``succeeded`` on a warm embedded service.

Run as ``python -m tests.bench.service``. Every job is new (its seed was never used), so nothing
is a cache hit. The floor of the same run is the library crafting the same spec in this process,
one after the other with the service; the ratio tells what the service adds.
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import httpx

import raiw

RUNS = 30
_seeds = itertools.count(time.time_ns() % 2**40)


def vgg16() -> dict:
    document = raiw.Spec.load("raiw/vgg16-d16").canonical()
    return document | {"craft": document["craft"] | {"seed": next(_seeds)}}


def toy() -> dict:
    layers = [
        {"name": f"fc{i}", "kind": "linear", "in_features": 64, "out_features": 64}
        for i in range(20)
    ]
    return {"layers": layers, "craft": {"degree": 8, "seed": next(_seeds)}}


def serve(spec: dict, http: httpx.Client) -> float:
    began = time.perf_counter()
    job = http.post("/v1/jobs", json={"spec": spec}, headers={"Prefer": "wait=30"}).json()
    assert job["status"] == "succeeded", job
    return time.perf_counter() - began


def craft(spec: dict) -> float:
    began = time.perf_counter()
    raiw.craft(spec).to_bytes()
    return time.perf_counter() - began


def measure(name: str, make: Callable[[], dict], http: httpx.Client) -> None:
    serve(make(), http)
    craft(make())
    pairs = [(serve(spec := make(), http), craft(spec)) for _ in range(RUNS)]
    served, crafted = (
        sorted(1000 * value for value in column) for column in zip(*pairs, strict=True)
    )
    p50, floor = statistics.median(served), statistics.median(crafted)
    p95 = served[int(0.95 * len(served))]
    print(
        f"{name:24} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   library {floor:7.1f} ms   "
        f"ratio {p50 / floor:5.1f}"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="raiw-bench-") as folder:
        command = ["serve", "--port", "0", "--state-dir", folder]
        process = subprocess.Popen(
            [sys.executable, "-m", "raiw", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            url = process.stdout.readline().split()[4] if process.stdout else ""
            print(f"{RUNS} new jobs each, one at a time; SQLite, embedded Valkey, {url}")
            with httpx.Client(base_url=url, timeout=60) as http:
                measure("VGG-16 d-16, 15 layers", vgg16, http)
                measure("toy, 20 layers of 64×64", toy, http)
        finally:
            process.terminate()
            process.communicate()


if __name__ == "__main__":
    main()
