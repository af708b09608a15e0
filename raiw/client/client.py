"""The client: a server's resources as methods."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from raiw.client.downloads import mask_file_chunks
from raiw.client.job import Job
from raiw.client.transport import Transport
from raiw.client.uploads import ensure_blob
from raiw.errors import InvalidMasks
from raiw.files import write_atomically
from raiw.specs.spec import Spec

if TYPE_CHECKING:
    from raiw.masks import MaskSet

DEFAULT_URL = "http://127.0.0.1:8321"
_PAGE_SIZE = 100

SpecLike = Spec | Mapping[str, Any] | str | Path
"""A spec, its decoded document, a file, or a name of the catalogue."""
ScoresLike = str | Path | Mapping[str, Any]
"""A safetensors file, or arrays by layer name."""


class Client:
    """A raiw server, seen from Python.

    Safe requests are repeated with growing pauses; every wait is bounded. Failures are the
    exceptions of :mod:`raiw.errors`, the same ones the local engine raises.

    Parameters
    ----------
    url
        Address of the server; ``RAIW_URL``, else ``http://127.0.0.1:8321``.
    token
        Bearer token; ``RAIW_TOKEN``, else none.
    timeout
        Seconds to wait for an answer, beyond what the server was asked to hold it back.

    Examples
    --------
    ::

        with raiw.Client() as client:
            job = client.craft("raiw/vgg16-d16")
            masks = job.result(timeout=600)
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, timeout: float = 30.0
    ) -> None:
        url = url or os.environ.get("RAIW_URL") or DEFAULT_URL
        self._transport = Transport(url, token or os.environ.get("RAIW_TOKEN"), timeout)

    @property
    def url(self) -> str:
        """Address of the server."""
        return self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def health(self) -> dict[str, Any]:
        """Return the server's own word on its readiness.

        Raises
        ------
        Unreachable
            The server does not answer, or is not ready.
        """
        body, _ = self._transport.json("GET", "/readyz", attempts=1)
        return body

    def plan(self, spec: SpecLike, importance: ScoresLike | None = None) -> dict[str, Any]:
        """Return what a job would build, as in ``POST /v1/plan``; nothing is crafted.

        An importance file is uploaded where the server lacks it, because its shapes are checked.
        """
        body = self._request(Spec.of(spec), importance)
        answer, _ = self._transport.json("POST", "/v1/plan", json=body)
        return answer

    def craft(
        self,
        spec: SpecLike,
        importance: ScoresLike | None = None,
        *,
        wait: float | None = None,
        timeout_seconds: float | None = None,
        deadline_at: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Job:
        """Ask for masks and return the job that makes them, or has made them before.

        Parameters
        ----------
        spec
            What to craft.
        importance
            Scores, checked against the spec here and uploaded only if the server lacks them.
        wait
            Seconds the server may hold the answer back for the job to end; at most 30 count.
        timeout_seconds
            Longest run time of one attempt.
        deadline_at
            A job nobody has started by then expires; needs a time zone.
        metadata
            Free notes, such as the commit a pipeline builds.

        Raises
        ------
        InvalidSpec, InvalidImportance
            The request cannot be crafted.
        Unauthorized
            The server wants a token, or refused this one.
        Unreachable
            The server does not answer.
        """
        body = self._request(Spec.of(spec), importance)
        body |= {
            "timeout_seconds": timeout_seconds,
            "deadline_at": deadline_at.isoformat() if deadline_at else None,
            "metadata": dict(metadata or {}),
        }
        headers = {"Prefer": f"wait={int(wait)}"} if wait and wait >= 1 else {}
        # Jobs are named by their content, so asking twice makes one job: repeating is safe.
        view, answered = self._transport.json(
            "POST", "/v1/jobs", json=body, headers=headers, wait=wait or 0
        )
        return Job(self, self._transport, view, answered.get("x-raiw-cache"))

    def job(self, job_id: str) -> Job:
        """Return a job by its id.

        Raises
        ------
        NotFound
            There is no such job, or it was removed after its time.
        """
        view, _ = self._transport.json("GET", f"/v1/jobs/{_segment(job_id)}")
        return Job(self, self._transport, view)

    def jobs(self, status: str | None = None) -> Iterator[Job]:
        """Yield the server's jobs, newest first, fetching page after page as needed."""
        query: dict[str, Any] = {"page_size": _PAGE_SIZE} | ({"status": status} if status else {})
        while True:
            page, _ = self._transport.json("GET", "/v1/jobs", params=query)
            for view in page["items"]:
                yield Job(self, self._transport, view)
            if not page["next_page_token"]:
                return
            query["page_token"] = page["next_page_token"]

    def masks(self, digest: str) -> "MaskSet":
        """Fetch stored masks into memory.

        Raises
        ------
        NotFound
            The server has no masks of this digest.
        InvalidMasks
            The bytes received are not the bytes announced.
        """
        from raiw.masks import load

        masks = load(b"".join(mask_file_chunks(self._transport, _segment(digest))))
        if masks.digest != digest:
            raise InvalidMasks(f"{self.url} answered {digest} with masks of {masks.digest}")
        return masks

    def download(self, digest: str, path: str | Path) -> None:
        """Fetch a mask file; ``path`` appears only when every byte has been checked.

        Raises
        ------
        NotFound
            The server has no masks of this digest, or the folder does not exist.
        InvalidMasks
            The bytes received are not the bytes announced.
        """
        write_atomically(path, mask_file_chunks(self._transport, _segment(digest)))

    def _request(self, spec: Spec, importance: ScoresLike | None) -> dict[str, Any]:
        """Return the body of a plan or job, its importance file uploaded."""
        if importance is None:
            spec.algorithm(scored=False)
            return {"spec": spec.canonical(), "importance": None}
        with _score_file(importance, spec) as (path, digest):
            ensure_blob(self._transport, path, digest)
        return {"spec": spec.canonical(), "importance": digest}


@contextmanager
def _score_file(scores: ScoresLike, spec: Spec) -> Iterator[tuple[Path, str]]:
    """Give scores, checked against the spec, as a file with its digest."""
    from raiw.importance.reading import open_importance, write_scores

    if isinstance(scores, Mapping):
        with tempfile.TemporaryDirectory(prefix="raiw-") as folder:
            path = Path(folder) / "scores.safetensors"
            yield path, write_scores(scores, spec, path)
    else:
        yield Path(scores), open_importance(scores, spec).digest


def _segment(name: str) -> str:
    """Escape what would change the path of a request."""
    return quote(name, safe=":")
