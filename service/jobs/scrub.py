"""Scrubbing: every stored object is read, compared with its digest, and repaired if possible.

It runs beside a running service: each finding is repaired in a transaction that checks again.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from raiw.errors import NotFound
from service.jobs.housekeeping import orphans
from service.jobs.keeping import remove_damaged_masks
from service.jobs.services import Services
from service.store import blobs, masks, objects, units
from service.store.files.artifacts import State
from service.store.tables import BlobRow, MasksRow, OutcomeRow, UnitRow

OnScrubbed = Callable[[int, str], None]
"""Told how many objects have been looked at, and which was the last."""

_AT_A_TIME = 50
_MADE_ANEW = "made again when somebody asks for it"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    kind: Literal["blob", "masks", "unit", "result", "file"]
    name: str
    """Digest of the object; for a unit or a result, the key it is stored under."""
    state: State | Literal["orphan"]
    remedy: str
    healed: bool
    """Whether scrubbing repairs it; otherwise somebody must carry out the remedy."""


@dataclass(slots=True)
class ScrubReport:
    """What scrubbing has found."""

    dry_run: bool
    objects: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is left to do."""
        return all(finding.healed and not self.dry_run for finding in self.findings)

    def lines(self) -> Iterator[str]:
        """List every finding, then the totals."""
        for finding in self.findings:
            yield f"{finding.kind} {finding.name} is {finding.state}: {finding.remedy}"
        left = sum(not finding.healed for finding in self.findings)
        healed = "would be healed" if self.dry_run else "healed"
        yield (
            f"{self.objects:,} objects of {self.bytes:,} bytes read: "
            f"{len(self.findings) - left} {healed}, {left} left to you"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-serialisable values."""
        return {**asdict(self), "sound": self.sound}


def count(services: Services) -> int:
    """Return how many objects rows promise."""
    with services.database.read() as session:
        return sum(
            objects.count(session, table) for table in (BlobRow, MasksRow, UnitRow, OutcomeRow)
        )


def scrub(services: Services, *, dry_run: bool, on_progress: OnScrubbed) -> ScrubReport:
    """Check every blob, set of masks, unit, result and file; repair what can be repaired.

    Lost masks, units and results are forgotten, so that they are made again when somebody asks for
    them, and files that no row names are removed. A lost upload can only be sent again. With
    ``dry_run`` nothing is changed.
    """
    report = ScrubReport(dry_run)
    for look in (_blobs, _masks, _units, _results, _orphans):
        for name, size, finding in look(services, dry_run=dry_run):
            report.objects += 1
            report.bytes += size
            report.findings += [finding] if finding else []
            on_progress(report.objects, name)
    return report


Findings = Iterator[tuple[str, int, Finding | None]]
"""The name and size of every object of a kind, and what is wrong with it."""


def _blobs(services: Services, *, dry_run: bool) -> Findings:
    for blob in objects.every(services.database, BlobRow, _AT_A_TIME):
        finding, state = None, _state(services, blob.digest, dry_run=dry_run)
        if state is not State.SOUND:
            finding = _lost_blob(services, blob, state, dry_run=dry_run)
        yield blob.digest, blob.size, finding


def _lost_blob(services: Services, blob: BlobRow, state: State, *, dry_run: bool) -> Finding | None:
    owner, digest = blob.owner_id, blob.digest
    with services.database.write() as session:
        objects.seize(session, digest)
        if not dry_run and services.artifacts.has(digest):
            return None  # sent again in the meantime
        if blobs.is_result(session, owner, digest):
            if not dry_run:
                blobs.remove(session, owner, digest, services.database.now(session))
            return Finding("blob", digest, state, _MADE_ANEW, healed=True)
    url = f"/v1/blobs/{digest}"
    return Finding("blob", digest, state, f"PUT {url} again, or DELETE it", healed=False)


def _masks(services: Services, *, dry_run: bool) -> Findings:
    for row in objects.every(services.database, MasksRow, _AT_A_TIME):
        if row.removed_at is not None:
            continue
        finding, state = None, masks.inspect(services.database, services.artifacts, row)
        if state is not State.SOUND:
            if not dry_run:
                remove_damaged_masks(services, row)
            finding = Finding("masks", row.digest, state, _MADE_ANEW, healed=True)
        yield row.digest, row.size, finding


def _units(services: Services, *, dry_run: bool) -> Findings:
    for unit in objects.every(services.database, UnitRow, _AT_A_TIME):
        if unit.artifact is None:
            continue
        finding, state = None, _state(services, unit.artifact, dry_run=dry_run)
        if state is not State.SOUND:
            if not dry_run:
                with services.database.write() as session:
                    now = services.database.now(session)
                    units.reopen(session, unit.key, unit.artifact, now)
            finding = Finding("unit", unit.key, state, _MADE_ANEW, healed=True)
        yield unit.key, services.artifacts.size(unit.artifact), finding


def _results(services: Services, *, dry_run: bool) -> Findings:
    """Look for results whose files have no row; those of lost files are already forgotten."""
    for outcome in objects.every(services.database, OutcomeRow, _AT_A_TIME):
        finding, key, owner = None, outcome.content_key, outcome.owner_id
        with services.database.write() as session:
            files = [file["digest"] for file in outcome.document["files"]]
            if any(blobs.find(session, owner, digest) is None for digest in files):
                if not dry_run:
                    blobs.forget_result(session, owner, key)
                finding = Finding("result", key, State.MISSING, _MADE_ANEW, healed=True)
        yield key, 0, finding


def _orphans(services: Services, *, dry_run: bool) -> Findings:
    for digest in orphans(services):
        size = services.artifacts.size(digest)
        if dry_run or objects.discard(services.database, services.artifacts, digest):
            yield digest, size, Finding("file", digest, "orphan", "removed", healed=True)


def _state(services: Services, digest: str, *, dry_run: bool) -> State:
    """Read a file; if it is damaged, set it aside, unless nothing may be changed."""
    state = services.artifacts.inspect(digest)
    if state is State.DAMAGED and not dry_run:
        with contextlib.suppress(NotFound):
            services.artifacts.set_aside(digest)
    return state
