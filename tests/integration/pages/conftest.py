"""A deployment in which everything has happened that pages show."""

from dataclasses import dataclass

import numpy as np
import pytest
from safetensors.numpy import save

from raiw.canonical import digest_of
from tests.integration.stack import Stack

HOSTILE = "<script>alert(1)</script>&\"'"
LONG = "wide" * 50
LAYERS = [
    {"name": "fc1", "kind": "linear", "in_features": 96, "out_features": 64},
    {"name": "conv", "kind": "conv2d", "in_channels": 8, "out_channels": 16, "kernel_size": 3},
]


@dataclass(frozen=True)
class Full:
    """A deployment, and what is in it."""

    stack: Stack
    job: str
    masks: str
    other: str
    failed: str
    scores: str

    @property
    def paths(self) -> list[str]:
        """Every page."""
        return [
            "/",
            "/?status=succeeded&kind=craft&text=alert",
            "/?text=nothing+like+this",
            f"/jobs/{self.job}",
            f"/jobs/{self.failed}",
            "/masks",
            f"/masks/{self.masks}",
            f"/masks/{self.masks}?sort=density",
            f"/masks/{self.masks}/layers/fc1",
            f"/masks/{self.masks}/layers/conv?mode=deviation&rows=0-8&columns=2-6",
            "/compare",
            f"/compare?a={self.masks}&b={self.other}",
            f"/compare?a={self.masks}&b={self.masks}&every=true",
            "/new",
            "/new?model=raiw/vgg16-d16",
            f"/new?job={self.job}",
            f"/new?masks={self.masks}",
            "/networks",
            "/system",
            "/keys",
            "/docs",
        ]


@pytest.fixture(scope="session")
def full(deployment: Stack) -> Full:
    if not deployment.workers:
        deployment.start_worker()
    scores = {
        "fc1": np.arange(64 * 96, dtype=np.float32).reshape(64, 96),
        "conv": np.ones((16, 8), np.float32),
    }
    file = save(scores)
    digest = digest_of(file)
    deployment.http.put(f"/v1/blobs/{digest}", content=file).raise_for_status()
    spec = {"name": HOSTILE, "layers": LAYERS, "craft": {"degree": 4}}
    noted = {"metadata": {HOSTILE: HOSTILE}, "importance": digest}
    job = deployment.submit(spec, **noted).json()["id"]
    sparse = {"name": LONG, "layers": LAYERS, "craft": {"algorithm": "random", "density": 0.01}}
    other = deployment.submit(sparse).json()["id"]
    forbidden = save({name: np.full_like(one, -np.inf) for name, one in scores.items()})
    nothing = digest_of(forbidden)
    deployment.http.put(f"/v1/blobs/{nothing}", content=forbidden).raise_for_status()
    failed = deployment.submit(spec, importance=nothing).json()["id"]
    masks, others = (deployment.wait(each)["result"]["digest"] for each in (job, other))
    deployment.wait(failed, "failed")
    return Full(deployment, job, masks, others, failed, digest)
