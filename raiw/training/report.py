"""What a training run found out."""

from dataclasses import asdict, dataclass
from typing import Any

FILE = "report.json"


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training images, and the test that follows."""

    epoch: int
    """Counted from 1."""
    learning_rate: float
    train_loss: float
    test_loss: float
    test_accuracy: float
    """Share of the test images that are named rightly."""
    weights: int | None = None
    """Weights that the masks keep after the epoch, where the recipe changes them."""

    def to_json(self) -> dict[str, Any]:
        """Return the measurements as JSON-serialisable values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The final account of one training run."""

    network: str
    dataset: str
    dataset_digest: str
    masks: str | None
    """Content digest of the masks held, None for a dense run."""
    recipe: dict[str, Any]
    seed: int
    accuracy: float
    """Test accuracy after the last epoch."""
    best_accuracy: float
    weights: int
    """Weights of linear layers and convolutions that were trained."""
    dense_weights: int
    flops: int
    """Operations for one image, two a weight kept and position."""
    dense_flops: int
    mask_violations: int
    """Pruned weights that are not zero after the last step."""
    device: str
    processes: int
    threads: int
    history: tuple[Epoch, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-serialisable values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Report":
        """Return the report that :meth:`to_json` wrote."""
        history = tuple(Epoch(**epoch) for epoch in document["history"])
        return cls(**document | {"history": history})
