"""What a report says, whatever its form."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from raiw.files import write_atomically
from raiw.gating import GateResult
from raiw.masks.mask import Mask
from raiw.masks.maskset import MaskSet

COLUMNS = ("layer", "shape", "edges", "density", "in degree", "out degree", "components", "gap")
"""Of the table of layers; the gap is that of the kept score to its upper bound."""


@dataclass(frozen=True)
class MaskReport:
    """Masks, and what was found about them."""

    masks: MaskSet
    gates: list[GateResult] = field(default_factory=list)
    lock: str | None = None
    """How the masks differ from the lock; None if they do not, or none was given."""
    locked: bool = False
    """Whether there was a lock."""

    @property
    def ok(self) -> bool:
        """Whether nothing has failed."""
        return self.lock is None and all(gate.ok for gate in self.gates)

    @property
    def title(self) -> str:
        """Name of the spec, or else of the format."""
        return str(self.masks.origin.spec.get("name") or "masks")

    @cached_property
    def verdict(self) -> str:
        """One word or two: for a badge."""
        if not self.ok:
            return "failed"
        return "passed" if self.gates or self.locked else "crafted"

    @property
    def facts(self) -> dict[str, str]:
        """What holds for the masks as a whole."""
        masks = self.masks
        return {
            "digest": masks.digest,
            "algorithm": f"{masks.algorithm}, revision {masks.origin.revision}",
            "seed": str(masks.seed),
            "scores": masks.importance or "none",
            "weights": f"{masks.weights:,} of {masks.dense_weights:,} ({masks.density:.2%})",
            "layers": f"{len(masks):,}",
        }

    @property
    def checks(self) -> list[tuple[str, bool, str]]:
        """Every check: its name, whether it passed, and what was found."""
        found = [(gate.gate, gate.ok, str(gate)) for gate in self.gates]
        if self.locked:
            told = self.lock or "the masks are those of the lock"
            found.append(("locked", self.lock is None, told))
        return sorted(found, key=lambda check: check[1])

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table of layers: those that fail a gate first, then in order."""
        failed = {breach.layer for gate in self.gates for breach in gate.breaches}
        ordered = sorted(self.masks.values(), key=lambda mask: mask.name not in failed)
        return [_row(mask) for mask in ordered]


def write_report(report: MaskReport, folder: Path) -> list[Path]:
    """Write every form of a report into a folder, which is made if need be; return the files."""
    from raiw.reports.badge import as_badge
    from raiw.reports.junit import as_junit
    from raiw.reports.markdown import as_markdown
    from raiw.reports.page import as_page

    forms: dict[str, Callable[[MaskReport], str]] = {
        "summary.md": as_markdown,
        "junit.xml": as_junit,
        "report.html": as_page,
        "badge.svg": as_badge,
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, form in forms.items():
        paths.append(folder / name)
        write_atomically(paths[-1], [form(report).encode()])
    return paths


def _row(mask: Mask) -> tuple[str, ...]:
    facts, (out, n_in) = mask.facts, mask.shape
    groups = f" ({mask.groups} groups)" if mask.groups > 1 else ""
    degrees = [
        f"{side.min:,}" if side.min == side.max else f"{side.min:,}-{side.max:,}"
        for side in (facts.in_degree, facts.out_degree)
    ]
    gap = "" if mask.gap is None else f"{mask.gap:.2%}"
    return (
        mask.name,
        f"{out} × {n_in}{groups}",
        f"{mask.edges:,}",
        f"{mask.density:.2%}",
        *degrees,
        f"{facts.components:,}",
        gap,
    )
