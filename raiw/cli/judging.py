"""Gates, locks and reports: the same for ``raiw craft`` and ``raiw check``."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiw.cli.exits import GATE
from raiw.cli.output import Output, complain
from raiw.cli.progress import LayerProgress
from raiw.errors import GateFailed, InvalidInput

if TYPE_CHECKING:
    from raiw.gating import GateResult
    from raiw.masks import MaskSet
    from raiw.specs.gates import Gates
    from raiw.specs.spec import Spec

LockedOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Exit 6 unless spec, scores and masks are those locked."),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Write summary.md, junit.xml, report.html and badge.svg."),
]

_FIRST_LINE_SECONDS = 2.0


@dataclass(slots=True)
class Judge:
    """What masks are held against, and what was found.

    Parameters
    ----------
    out
        The command's output.
    gates
        Gates to pass; None for none.
    locked
        Lock to match.
    report
        Folder for the report.
    """

    out: Output
    gates: "Gates | None" = None
    locked: Path | None = None
    report: Path | None = None
    results: "list[GateResult]" = field(default_factory=list)
    mismatch: GateFailed | None = None
    """How the masks differ from the lock."""

    def __post_init__(self) -> None:
        """Refuse a folder for the report that cannot be one, before the work."""
        if self.report is None:
            return
        found = next(
            path for path in (self.report, *self.report.absolute().parents) if path.exists()
        )
        if not found.is_dir() or not os.access(found, os.W_OK):
            raise InvalidInput(
                f"cannot write a report into {str(self.report)!r}: {str(found)!r} is no folder "
                f"that may be written; give another"
            )

    def spec(self, spec: "Spec", importance: Callable[[], str | None]) -> None:
        """Hold a spec and the digest of its scores against the lock, before any work.

        Raises
        ------
        GateFailed
            They are not those that were locked.
        """
        if self.locked is not None:
            from raiw.locking import Lock

            Lock.read(self.locked).require_spec(spec, importance())

    def masks(self, masks: "Callable[[], MaskSet]") -> None:
        """Hold masks against gates and lock, and write the report; they are fetched if need be."""
        if not (self.gates or self.locked or self.report):
            return
        found = masks()
        if self.gates is not None:
            from raiw.gating import check_masks

            with LayerProgress(
                self.out, "measuring", len(found), first_line=_FIRST_LINE_SECONDS
            ) as progress:
                self.results = check_masks(found, self.gates, progress.show)
        if self.locked is not None:
            from raiw.locking import Lock

            try:
                Lock.read(self.locked).require_masks(found)
            except GateFailed as error:
                self.mismatch = error
        if self.report is not None:
            from raiw.reports import MaskReport, write_report

            told = self.mismatch.message if self.mismatch else None
            report = MaskReport(found, self.results, told, locked=self.locked is not None)
            write_report(report, self.report)
            self.out.note(f"wrote a report into {self.report}")

    @property
    def verdict(self) -> dict[str, Any]:
        """What was found, as JSON-serialisable values."""
        lock = self.mismatch.details["lock"] if self.mismatch else []
        gates = [result.to_json() for result in self.results]
        return {"ok": self.ok, "gates": gates, "lock": lock}

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.mismatch is None and all(result.ok for result in self.results)

    def end(self) -> None:
        """Name every check, the failed ones even to who wants quiet; exit 6 if there are any."""
        for result in self.results:
            if result.ok:
                self.out.note(f"ok     {result}")
        for result in self.results:
            if not result.ok:
                complain(f"FAILED {result}")
        if self.mismatch is not None:
            complain(f"FAILED {self.mismatch.message}")
        elif self.locked is not None:
            self.out.note(f"ok     locked by {self.locked}")
        if not self.ok:
            raise typer.Exit(GATE)
