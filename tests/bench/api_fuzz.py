"""Schemathesis against a real server: what the document promises, and what nobody promised.

Run as ``python -m tests.bench.api_fuzz``: two seeds, every phase and every check. Besides the
requests that the document allows it sends such as it forbids, follows the links between routes, and
compares every answer with its description.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from raiw.canonical import digest_of
from tests.integration.api.servers import start_server, store

SEEDS = (1, 2)
EXAMPLES = 100
PHASES = "examples,coverage,fuzzing,stateful"
TOKEN = "a token of sixteen or more"
# A document tells the form of a request, and not whether its parts go together, whether a file is
# a safetensors file, or how much this server allows; nor whether a moment has passed, a key has
# ended, or an address may be sent to.
_JUDGED = (
    *("POST /v1/jobs", "POST /v1/plan", "POST /v1/uploads", "GET /v1/jobs", "GET /v1/masks"),
    *("GET /v1/keys", "POST /v1/keys", "POST /v1/keys/{key_id}/rotate"),
    *("GET /v1/webhooks", "POST /v1/webhooks", "GET /v1/webhooks/{webhook_id}/deliveries"),
)
_READ = ("PUT /v1/blobs/{digest}", "PATCH /v1/uploads/{upload_id}")


def fuzz(folder: Path, seed: int, examples: int, phases: str) -> tuple[int, str]:
    """Return the exit status of Schemathesis and what it says."""
    server = start_server(folder, token=TOKEN)
    try:
        masks, file = store(server.services)
        config = folder / "schemathesis.toml"
        config.write_text(settings(masks.digest, digest_of(file)), "utf-8")
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", config]
        options = ["--checks", "all", "--phases", phases, "--seed", seed, "-n", examples]
        header = ["--header", f"Authorization: Bearer {TOKEN}", "--no-color"]
        done = subprocess.run(
            [*map(str, [*command, "run", f"{server.url}/openapi.json", *options]), *header],
            capture_output=True,
            cwd=folder,
            text=True,
            check=False,
        )
    finally:
        server.stop()
    return done.returncode, done.stdout + done.stderr


def settings(masks_digest: str, blob_digest: str) -> str:
    """Return the settings of Schemathesis: what is stored, and who may refuse a valid request."""
    unknown = "sha256:" + "0" * 64
    found = {"/v1/masks": masks_digest, "/v1/blobs": blob_digest}
    lines = []
    for prefix, digest in found.items():
        lines += [
            "[[operations]]",
            f'include-path-regex = "^{prefix}"',
            'exclude-method = ["PUT"]',
            f'parameters = {{ "path.digest" = ["{digest}", "{unknown}"], "path.name" = "fc" }}',
        ]
    for name in (*_JUDGED, *_READ):
        lines += [
            "[[operations]]",
            f'include-name = "{name}"',
            "[operations.checks.positive_data_acceptance]",
            'expected-statuses = ["2xx", 401, 403, 404, 409, 411, 413, 422, 507]',
        ]
    return "\n".join(lines)


def main() -> None:
    """Print the figures of every seed."""
    worst = 0
    for seed in SEEDS:
        with tempfile.TemporaryDirectory(prefix="raiw-") as folder:
            status, said = fuzz(Path(folder), seed, EXAMPLES, PHASES)
        (cases,) = re.findall(r"^ *\d+ generated.*$", said, re.MULTILINE) or ["no figures"]
        print(f"seed {seed}: {cases.strip()}")
        if status:
            print(said)
        worst = max(worst, status)
    raise SystemExit(worst)


if __name__ == "__main__":
    main()
