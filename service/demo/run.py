"""The demo's steps: serve, submit, wait, download, verify, show, stop."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raiw.cli.following import follow
from raiw.cli.output import Output
from raiw.cli.tables import layer_table
from raiw.client import Client
from raiw.errors import GateFailed, Unreachable
from raiw.masks import MaskSet, load
from raiw.specs.spec import Spec
from raiw.verification import verify
from service.demo import SCORES
from service.tether import tied

DIGITS = {
    "name": "digits-cnn-d8",
    "model": "digits-cnn",
    "craft": {
        "degree": 8,
        "rules": [
            {"match": "conv1", "dense": True},
            {"match": "conv3", "degree": 16},
            {"match": "head", "dense": True},
        ],
    },
}
_JOB_SECONDS = 120.0
_STOP_SECONDS = 30.0


def run(output: Path, state_dir: Path | None) -> None:
    """Craft VGG-16 in the paper's layout and a digits CNN by its scores; leave the files.

    Raises
    ------
    GateFailed
        A downloaded mask file does not verify.
    Unreachable
        The service did not start.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end in order
    out = Output()
    began = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    digits = Spec.parse(DIGITS)
    scores = output / SCORES.name
    shutil.copyfile(SCORES, scores)
    with (
        tempfile.TemporaryDirectory(prefix="raiw-demo-") as scratch,
        _service(state_dir or Path(scratch)) as url,
        Client(url) as client,
    ):
        out.note(f"a service of its own runs at {url}: API, Celery worker, Valkey, SQLite\n")
        vgg = _craft(out, client, Spec.load("raiw/vgg16-d16"), None, output / "vgg16-d16")
        cnn = _craft(out, client, digits, scores, output / "digits-cnn-d8")
    for path, importance in ((vgg, None), (cnn, scores)):
        _show(out, path, importance)
    out.note(
        f"\ndone in {time.monotonic() - began:.1f} s; the service has stopped. Next:\n"
        f"  raiw show {vgg}\n"
        f"  raiw verify {cnn} --importance {scores}\n"
        f"  raiw export {cnn} --to torch-prune -o {output / 'digits.torch.safetensors'}\n"
        f"  raiw serve"
    )


@contextmanager
def _service(state_dir: Path) -> Iterator[str]:
    """Run ``raiw serve`` on a free port; yield its address."""
    # -P: what is installed runs, not a source tree that happens to be the current folder.
    command = tied(sys.executable, "-P", "-m", "raiw", "serve", "--port", "0")
    command += ["--state-dir", str(state_dir)]
    quiet = {"RAIW_LOG_LEVEL": "warning"} | os.environ
    process = subprocess.Popen(command, env=quiet, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        line = process.stdout.readline() if process.stdout else ""
        if "raiw is ready at " not in line:
            raise Unreachable("raiw serve did not start; its output above says why")
        yield line.split()[4]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=_STOP_SECONDS)


def _craft(out: Output, client: Client, spec: Spec, scores: Path | None, stem: Path) -> Path:
    """Submit a spec, wait for its masks and download them to ``<stem>.masks.safetensors``."""
    began = time.monotonic()
    job = client.craft(spec, scores)
    follow(out, client, job, _JOB_SECONDS)
    path = stem.with_suffix(".masks.safetensors")
    client.download(job.require_digest(), path)
    out.note(f"{spec.name}: job {job.id} in {time.monotonic() - began:.2f} s\n")
    return path


def _show(out: Output, path: Path, importance: Path | None) -> None:
    masks: MaskSet = load(path)
    report = verify(masks, importance=importance)
    if not report.ok:
        raise GateFailed(f"{path} does not verify: {report}")
    out.tables(layer_table(masks, masks.stats()))
    out.line(f"{path}: verified, {masks.digest}\n")
