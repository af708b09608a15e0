"""What a study has found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """One layer of one run."""

    method: str
    seed: int
    layer: str
    edges: int
    in_degree: tuple[int, int]
    out_degree: tuple[int, int]
    entropy: float
    """Nats."""
    entropy_error: float | None
    """Standard error of an estimate, else None."""
    entropy_gap: float
    """Compared with the dense layer."""
    algebraic_connectivity: float | None
    spectral_gap: float | None
    components: int
    kept_score: float | None
    score_gap: float | None
    """The most by which it can miss the best graph under the degree contract."""
    overlap: float
    """Jaccard index with the first method's edges for the same seed."""

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON-serialisable values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Study:
    """What :func:`study` found."""

    name: str
    methods: tuple[str, ...]
    seeds: int
    rows: tuple[Measured, ...]
    refused: dict[str, str]
    """Why a method could not craft the spec, by method."""

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> "Study":
        """Return the study that :meth:`to_json` has written."""
        rows = (
            Measured(**row | {side: tuple(row[side]) for side in ("in_degree", "out_degree")})
            for row in document["rows"]
        )
        methods, refused = tuple(document["methods"]), dict(document["refused"])
        return cls(document["name"], methods, document["seeds"], tuple(rows), refused)

    def to_json(self) -> dict[str, Any]:
        """Return the study as JSON-serialisable values."""
        return {
            "name": self.name,
            "methods": list(self.methods),
            "seeds": self.seeds,
            "refused": self.refused,
            "rows": [row.to_json() for row in self.rows],
        }
