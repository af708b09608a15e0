"""A job on a server: show, wait, follow, cancel, fetch."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from raiw.client.deadline import Deadline
from raiw.client.problems import error_of_document
from raiw.client.sse import parse_events
from raiw.client.transport import (
    ATTEMPTS,
    MAX_PAUSE,
    NEVER,
    PATIENT_ATTEMPTS,
    Transport,
    retry_after,
)
from raiw.errors import JobCanceled, JobExpired, JobFailed, StillRunning, Unreachable

if TYPE_CHECKING:
    from raiw.masks import MaskSet

ENDED = frozenset({"succeeded", "failed", "canceled", "expired"})

_LONG_POLL_SECONDS = 25.0
_POLL_SECONDS = 1.0
_SILENCE_SECONDS = 40.0
"""A stream without its keep-alives (every 15 s) for this long is dead, or held by a proxy."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job's progress."""

    phase: str
    completed: int
    total: int


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a job; ``seq`` counts from 1."""

    seq: int
    event: str
    """``status``, ``progress`` or ``log``."""
    data: dict[str, Any]

    @property
    def ends_job(self) -> bool:
        """Whether nothing can follow."""
        return self.event == "status" and self.data.get("status") in ENDED


class Job:
    """A job as the server last described it; made by :class:`raiw.Client`."""

    def __init__(
        self,
        transport: Transport,
        fetch_masks: Callable[[str, Deadline], "MaskSet"],
        view: dict[str, Any],
        cache: str | None = None,
    ) -> None:
        self._fetch_masks = fetch_masks
        self._transport = transport
        self.view = view
        """The server's own description, as in ``GET /v1/jobs/{id}``."""
        self.cache = cache
        """``hit``, ``joined`` or ``created`` for a job this client asked for, else None."""

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.status}>"

    @property
    def id(self) -> str:
        """Name of the job on its server."""
        return str(self.view["id"])

    @property
    def status(self) -> str:
        """queued, running, canceling, succeeded, failed, canceled or expired."""
        return str(self.view["status"])

    @property
    def done(self) -> bool:
        """Whether the job has ended in any way."""
        return bool(self.view["done"])

    @property
    def progress(self) -> JobProgress:
        """How many layers have been crafted, and of how many."""
        return JobProgress(**{key: self.view["progress"][key] for key in JobProgress.__slots__})

    @property
    def error(self) -> dict[str, Any] | None:
        """Problem document of a failed job."""
        error: dict[str, Any] | None = self.view["error"]
        return error

    @property
    def digest(self) -> str | None:
        """Content digest of the masks, or digest of the main file, once the job has succeeded."""
        result = self.view["result"]
        return str(result["digest"]) if result else None

    @property
    def files(self) -> list[dict[str, Any]]:
        """Files of a job that scored, pruned or trained: ``name``, ``digest`` and ``bytes``."""
        result = self.view["result"]
        return list(result["files"]) if result else []

    @property
    def report(self) -> dict[str, Any] | None:
        """What such a job has measured."""
        result = self.view["result"]
        report: dict[str, Any] | None = result["report"] if result else None
        return report

    def refresh(self) -> Self:
        """Ask the server for the job's state."""
        self._poll(0, ATTEMPTS)
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the job has ended in any way; None waits as long as it takes.

        Raises
        ------
        StillRunning
            ``timeout`` seconds have passed; the job continues. Unreachable
            The server was gone for about a minute; the job is not affected.
        """
        return self._wait(Deadline(timeout))

    def _wait(self, until: Deadline) -> Self:
        until = until.sooner(self._transport.deadline)
        while not self.done:
            if until.passed:
                raise self._still_running()
            began, left = time.monotonic(), until.left
            with self._ending(until):
                pause = self._poll(min(_LONG_POLL_SECONDS, left), until=until)
            if pause is None:
                break
            # A server that held the answer back has waited for us already.
            time.sleep(max(0.0, min(pause, left) - (time.monotonic() - began)))
        return self

    def events(self, after: int = 0, timeout: float | None = None) -> Iterator[Event]:
        """Yield events after number ``after`` as they happen, up to the one that ends the job.

        A broken stream resumes from ``Last-Event-ID``; if streams do not get through, events are
        polled.

        Raises
        ------
        StillRunning
            ``timeout`` seconds have passed; the job goes on.
        """
        until = Deadline(timeout).sooner(self._transport.deadline)
        streaming = True
        while not until.passed:
            was_done, progressed = self.done, False
            found = self._streamed(after, until) if streaming else self._polled(after, until)
            for event in found:
                after, progressed = event.seq, True
                if event.ends_job:
                    self._poll(0, ATTEMPTS, until)
                yield event
                if event.ends_job:
                    return
            if not progressed:
                if was_done:  # everything up to the end was seen before
                    return
                if not streaming:
                    time.sleep(min(_POLL_SECONDS, until.left))
                streaming = False
                with self._ending(until):
                    self._poll(0, PATIENT_ATTEMPTS, until)
        raise self._still_running()

    def cancel(self) -> Self:
        """Ask the server to stop the job; a running one ends within seconds.

        Raises
        ------
        InvalidInput
            The job has already ended in another way.
        """
        self.view, _ = self._transport.json("POST", f"{self._url}/cancel")
        return self

    def result(self, timeout: float | None = None) -> "MaskSet":
        """Wait for the masks and fetch them.

        Raises
        ------
        JobFailed, JobCanceled, JobExpired
            The job ended without masks.
        StillRunning
            ``timeout`` seconds have passed; the job goes on.
        """
        until = Deadline(timeout)
        return self._fetch_masks(self._wait(until).require_digest(), until)

    def require_digest(self) -> str:
        """Return the digest of an ended job's masks, or raise for how it ended."""
        if self.digest is not None:
            return self.digest
        facts: dict[str, Any] = {"job": self.id, "status": self.status}
        if self.status == "canceled":
            raise JobCanceled(f"job {self.id} was canceled", **facts)
        if self.status == "expired":
            raise JobExpired(
                f"job {self.id} expired: its deadline {self.view['deadline_at']} passed before a "
                f"worker took it; are workers running?",
                **facts,
            )
        if self.status == "failed":
            code, detail = error_of_document(self.error or {})
            raise JobFailed(f"job {self.id} failed ({code}): {detail}", error=self.error, **facts)
        raise StillRunning(f"job {self.id} is {self.status}: wait for it", **facts)

    @property
    def _url(self) -> str:
        return f"/v1/jobs/{self.id}"

    @contextmanager
    def _ending(self, until: Deadline) -> Iterator[None]:
        """Say that the job continues, where a look at it is cut short by the deadline."""
        try:
            yield
        except (StillRunning, Unreachable):
            if until.passed:
                raise self._still_running() from None
            raise

    def _poll(
        self, wait: float, attempts: int = PATIENT_ATTEMPTS, until: Deadline = NEVER
    ) -> float | None:
        """Fetch the job; the server delays the answer up to ``wait`` seconds for its end.

        Returns the pause before the next look, None once the job has ended.
        """
        headers = {"Prefer": f"wait={int(wait)}"} if wait >= 1 else {}
        self.view, answered = self._transport.json(
            "GET", self._url, headers=headers, wait=wait, attempts=attempts, until=until
        )
        if self.done:
            return None
        return min(MAX_PAUSE, max(_POLL_SECONDS, retry_after(answered)))

    def _still_running(self) -> StillRunning:
        return StillRunning(
            f"job {self.id} is still {self.status} and continues: wait for it again",
            job=self.id,
            status=self.status,
        )

    def _streamed(self, after: int, until: Deadline) -> Iterator[Event]:
        """Yield the events of one stream until it ends, breaks or falls silent."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        try:
            with self._transport.stream(
                f"{self._url}/events", headers, _SILENCE_SECONDS, until
            ) as response:
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    return
                for event in parse_events(response.iter_lines()):
                    if event.id:
                        yield Event(int(event.id), event.event, _event_data(event.data))
        except (StillRunning, Unreachable):
            return

    def _polled(self, after: int, until: Deadline) -> Iterator[Event]:
        """Yield the events of one page."""
        page, _ = self._transport.json(
            "GET",
            f"{self._url}/events",
            params={"after": after},
            headers={"Accept": "application/json"},
            attempts=PATIENT_ATTEMPTS,
            until=until,
        )
        for item in page["items"]:
            yield Event(item["seq"], item["event"], item["data"])


def _event_data(text: str) -> dict[str, Any]:
    """Return an event's data; SSE carries it bare, or inside the whole event as JSON pages do."""
    data: dict[str, Any] = json.loads(text)
    return data["data"] if "seq" in data else data
