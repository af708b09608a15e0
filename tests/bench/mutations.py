"""Mutated requests and files at a real service: no answer of 500 or above, nothing that hangs.

Run as ``python -m tests.bench.mutations [REQUESTS] [UPLOADS] [SEED]``; 50,000 and 20,000 by
default. Specs, jobs and files that are in order are changed at a few random places, sent to a
``raiw serve`` with a worker, and what is accepted is crafted. The same seed sends the same bytes.
"""

import copy
import hashlib
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import ml_dtypes
import numpy as np

from service.tether import tied

PATIENCE = 60.0
"""Seconds after which an answer, or the end of a job, counts as missing."""
ENDED = {"succeeded", "failed", "canceled", "expired"}
OWN_FAULTS = {"internal-error", "worker-lost", "timeout"}
"""Codes of failed jobs that no input may bring about."""

LAYERS = [
    {"name": "fc", "kind": "linear", "in_features": 12, "out_features": 8},
    {"name": "conv", "kind": "conv2d", "in_channels": 8, "out_channels": 12, "groups": 2,
     "kernel_size": [3, 3], "positions": 16},
    {"name": "up", "kind": "conv_transpose1d", "in_channels": 4, "out_channels": 6,
     "kernel_size": 2},
]  # fmt: skip
DIGEST = "sha256:" + "0" * 64
SPECS: list[dict[str, Any]] = [
    {"layers": LAYERS, "craft": {"density": 0.5, "seed": 1}},
    {"layers": LAYERS, "craft": {"degree": 2, "rules": [{"match": "f*", "dense": True}]}},
    {"layers": LAYERS, "craft": {"parameters": 300, "allocation": "erk"}},
    {"layers": LAYERS[:2], "craft": {"flops": 2000, "rules": [{"match": "*", "edges": 8}]}},
    {"layers": LAYERS[:1], "craft": {"algorithm": "nm", "n": 2, "m": 4, "group_outputs": 2}},
    {"layers": LAYERS[:1], "craft": {"algorithm": "radix", "density": 0.5, "certify": False}},
    {"model": "raiw/digits-cnn-10", "name": "x", "importance": {"method": "magnitude"}},
]
REQUESTS: list[dict[str, Any]] = [
    *({"spec": spec, "metadata": {"a": "b"}, "timeout_seconds": 9} for spec in SPECS),
    {"spec": SPECS[0], "importance": DIGEST, "deadline_at": "2100-01-01T00:00:00+02:00"},
    {"kind": "score", "network": "digits-cnn", "weights": DIGEST, "data": "digits",
     "method": "taylor", "options": {"norm": "l2"}, "samples": 10, "seed": 3},
    {"kind": "prune", "network": "digits-cnn", "weights": DIGEST, "method": "l1_filter",
     "options": {"sparsity": 0.5}},
    {"kind": "train", "network": "digits-cnn", "data": DIGEST, "spec": SPECS[6], "seeds": [0, 1],
     "recipe": {"epochs": 1, "batch": 8, "precision": "bfloat16"}},
]  # fmt: skip
JUNK: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 3, 0.5, 1e308, -0.0, float("nan"), float("inf")),
    *(2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30, 1 << 24, (1 << 24) + 1, 1 << 40),
    *("", "x", "*", "[", "[!]", "[a-", "\0", "\ud800", "é", "a/b~c", "fc", "x" * 201, "9" * 30),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2020-01-01", "NaN", DIGEST),
    *([], {}, [[]], [None], [0] * 50, {"a": 1}, {"": {}}, [{}], {"match": "*", "degree": 1}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a document."""
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(child, (*path, key))


def spoil(document: dict[str, Any], chance: random.Random) -> None:
    """Change one place of a document: a number to another small one, or anything to anything."""
    found = list(places(document)) or [("spec",)]
    *path, last = chance.choice(found)
    target: Any = document
    for key in path:
        target = target[key]
    held = target.get(last) if isinstance(target, dict) else target[last]
    junk = copy.deepcopy(chance.choice(JUNK))
    action = chance.choice(["small", "small", "remove", "double", "add", "replace"])
    if action == "small" and isinstance(held, int | float):
        target[last] = chance.choice([True, 0.25, *range(17)])
    elif action == "remove" and held is not None:
        del target[last]
    elif action == "double" and isinstance(target, list):
        target.insert(last, copy.deepcopy(chance.choice(target)))
    elif action == "add" and isinstance(target, dict):
        target[chance.choice([*(k for r in REQUESTS for k in r), "degree", "n", "\ud800"])] = junk
    elif action != "small":
        target[last] = junk


def request_body(chance: random.Random, path: str) -> bytes:
    """Return a mutated request, now and then not even JSON."""
    document = copy.deepcopy(chance.choice(REQUESTS))
    if path == "/v1/plan":
        document = {"spec": copy.deepcopy(chance.choice(SPECS))}
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        spoil(document, chance)
    text = bytearray(json.dumps(document).encode())
    if chance.random() < 0.1:
        mutate(text, chance)
    return bytes(text)


def mutate(data: bytearray, chance: random.Random) -> None:
    """Change some bytes."""
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(data) + 1)
        action = chance.randrange(4)
        if action == 0:
            del data[at : at + chance.randint(1, 9)]
        elif action == 1:
            data[at:at] = chance.randbytes(chance.randint(1, 9))
        elif action == 2:
            data[at : at + 1] = bytes([chance.choice(b'0123456789[]{}",:-eE\x00\x7f\xff')])
        elif at < len(data):
            data[at] ^= 1 << chance.randrange(8)


DTYPES = {"F16": np.float16, "BF16": ml_dtypes.bfloat16, "F32": np.float32, "F64": np.float64}
HOSTILE = [np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, 1e-40, 6e4, 3e38, 1e308]


def scores(chance: random.Random) -> bytes:
    """Return an importance file for the first spec: any types, odd offsets, strange numbers."""
    noise = np.random.default_rng(chance.getrandbits(32))
    header: dict[str, Any] = {}
    data = b""
    for name, shape in (("fc", (8, 12)), ("conv", (12, 4)), ("up", (6, 4))):
        kind = chance.choice(list(DTYPES))
        values = noise.normal(size=shape)
        for _ in range(chance.choice([0, 0, 1, 5])):
            values.flat[chance.randrange(values.size)] = chance.choice(HOSTILE)
        with np.errstate(over="ignore"):
            raw = values.astype(DTYPES[kind]).tobytes()
        header[name] = {
            "dtype": kind, "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)],
        }  # fmt: skip
        data += raw
    if chance.random() < 0.3:
        header["__metadata__"] = {"a": "b" * chance.randint(0, 9)}
    text = json.dumps(header).encode()
    text += b" " * chance.choice([0, 0, -len(text) % 8, 1, 3])
    file = bytearray(struct.pack("<Q", len(text)) + text + data)
    if chance.random() < 0.7:
        mutate(file, chance)
    return bytes(file)


class Trial:
    """The service under trial, and what it has answered."""

    def __init__(self, url: str, seed: int) -> None:
        self.http = httpx.Client(base_url=url, timeout=PATIENCE, limits=httpx.Limits())
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.bad: list[str] = []
        self.slowest = 0.0

    def send(
        self, what: str, method: str, path: str, body: bytes, **headers: str
    ) -> httpx.Response:
        began = time.perf_counter()
        try:
            answer = self.http.request(method, path, content=body, headers=headers)
        except httpx.HTTPError as error:
            self.bad.append(f"{what}: {error!r} to {body!r:.300}")
            raise
        self.slowest = max(self.slowest, time.perf_counter() - began)
        self.counts[f"{what} {answer.status_code}"] += 1
        if answer.status_code >= 500:
            self.bad.append(f"{what}: {answer.status_code} {answer.text:.300} to {body!r:.600}")
        return answer

    def ask(self, number: int) -> None:
        """Send one mutated request, and cancel what it began."""
        chance = random.Random(f"request {self.seed} {number}")  # noqa: S311 -- repeatable
        path = chance.choice(["/v1/jobs", "/v1/jobs", "/v1/plan"])
        answer = self.send(path, "POST", path, request_body(chance, path), **{"Content-Type": JSON})
        if answer.status_code == httpx.codes.ACCEPTED:
            self.send("cancel", "POST", f"/v1/jobs/{answer.json()['id']}/cancel", b"")

    def upload(self, number: int) -> None:
        """Send one mutated file, and craft from it if it is taken."""
        chance = random.Random(f"upload {self.seed} {number}")  # noqa: S311 -- repeatable
        file = scores(chance)
        digest = f"sha256:{hashlib.sha256(file).hexdigest()}"
        answer = self.send("upload", "PUT", f"/v1/blobs/{digest}", file)
        if not answer.is_success:
            return
        craft = chance.choice(
            [{"degree": 2}, {"density": 0.3}, {"algorithm": "balanced", "degree": 3}]
        )
        body = {"spec": {"layers": LAYERS, "craft": craft}, "importance": digest}
        said = self.send(
            "craft", "POST", "/v1/jobs", json.dumps(body).encode(), Prefer="wait=30",
            **{"Content-Type": JSON},
        )  # fmt: skip
        if said.is_success:
            self.follow(said.json(), file)

    def follow(self, job: dict[str, Any], file: bytes) -> None:
        """Wait for the end of a job."""
        give_up = time.monotonic() + PATIENCE
        while job["status"] not in ENDED and time.monotonic() < give_up:
            job = self.http.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=10"}).json()
        code = (job["error"] or {}).get("code", "")
        self.counts[f"job {job['status']} {code}".rstrip()] += 1
        if job["status"] not in ENDED or code in OWN_FAULTS:
            self.bad.append(f"job: {job['status']} {job['error']} of {file.hex()}")


JSON = "application/json"


def run(url: str, requests: int, uploads: int, seed: int, threads: int = 4) -> Trial:
    """Send everything; return what came of it."""
    trial = Trial(url, seed)
    began = time.monotonic()
    work: list[tuple[Callable[[int], None], int]] = [(trial.ask, n) for n in range(requests)]
    work += [(trial.upload, n) for n in range(uploads)]
    with ThreadPoolExecutor(threads) as pool:
        for done, _ in enumerate(pool.map(lambda one: one[0](one[1]), work), 1):
            if done % 5000 == 0:
                print(f"{done} of {len(work)}, {time.monotonic() - began:.0f} s", flush=True)
    trial.http.close()
    return trial


def main() -> None:
    requests, uploads, seed = (*map(int, sys.argv[1:]), *(50_000, 20_000, 0)[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory(prefix="raiw-mutations-") as folder:
        command = ["serve", "--port", "0", "--state-dir", folder]
        process = subprocess.Popen(
            tied(sys.executable, "-m", "raiw", *command),
            stdout=subprocess.PIPE,
            stderr=(Path(folder) / "log").open("wb"),
            text=True,
        )
        try:
            url = process.stdout.readline().split()[4] if process.stdout else ""
            trial = run(url, requests, uploads, seed)
        finally:
            process.terminate()
            process.communicate()
    for name, count in sorted(trial.counts.items()):
        print(f"{count:7} {name}")
    print(f"slowest answer {trial.slowest:.2f} s; {len(trial.bad)} bad")
    print("\n".join(trial.bad[:20]))
    sys.exit(bool(trial.bad))


if __name__ == "__main__":
    main()
