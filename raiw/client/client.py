"""The client: a server's resources as methods."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from raiw.canonical import SHA256
from raiw.client.asking import Asking
from raiw.client.deadline import Deadline
from raiw.client.downloads import file_chunks, mask_file_chunks
from raiw.client.job import Job
from raiw.client.tokens import find_token, server_url
from raiw.client.transport import NEVER, Transport, segment
from raiw.client.webhooks import Webhooks
from raiw.errors import InvalidInput, InvalidMasks, NotFound
from raiw.files import write_atomically
from raiw.names import check_name

if TYPE_CHECKING:
    from raiw.masks import MaskSet

_PAGE_SIZE = 100


class Client(Asking):
    """A raiw server, seen from Python.

    Safe requests are retried with growing pauses; every wait is bounded. Failures are the
    exceptions of :mod:`raiw.errors`, the same ones the local engine raises.

    Parameters
    ----------
    url
        Address of the server; ``RAIW_URL``, else ``http://127.0.0.1:8321``.
    token
        Bearer token; ``RAIW_TOKEN``, else the one that ``raiw login`` keeps for this server, else
        none.
    timeout
        Seconds to wait for an answer, beyond the delay the server was asked for.
    deadline
        Seconds in which everything that is done with this client must have ended: requests, waiting
        and downloads together. Then :class:`~raiw.errors.StillRunning` is raised, or
        :class:`~raiw.errors.Unreachable` where the server has not answered.
    transport
        What sends the requests.

    Examples
    --------
    ::

        with raiw.Client() as client:
            job = client.craft("raiw/vgg16-d16")
            masks = job.result(timeout=600)
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        timeout: float = 30.0,
        *,
        deadline: float | None = None,
        transport: type[Transport] = Transport,
    ) -> None:
        url = server_url(url)
        self._transport = transport(url, find_token(url, token), timeout, deadline)
        self.webhooks = Webhooks(self._transport)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._transport.deadline.left

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
        """Return the server's own account of its readiness.

        Raises
        ------
        Unreachable
            The server does not answer, or is not ready.
        """
        body, _ = self._transport.json("GET", "/readyz", attempts=1)
        return body

    def whoami(self) -> dict[str, Any]:
        """Return whose requests these are: ``owner``, ``key_id`` and ``scopes``."""
        return self._transport.json("GET", "/v1/whoami")[0]

    def job(self, job_id: str) -> Job:
        """Return a job by its id.

        Raises
        ------
        NotFound
            There is no such job, or it was removed after its time.
        """
        view, _ = self._transport.json("GET", f"/v1/jobs/{segment(job_id)}")
        return Job(self._transport, self.masks, view)

    def jobs(
        self,
        status: str | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        **wanted: Any,
    ) -> Iterator[Job]:
        """Yield the server's jobs, newest first, fetching page after page as needed.

        Only those in a state, for which somebody has noted just this ``metadata``, and for which
        other parameters of ``GET /v1/jobs`` hold. Their views are short until they are refreshed.
        """
        noted = [f"{name}={value}" for name, value in (metadata or {}).items()]
        query = {"page_size": _PAGE_SIZE, "status": status, "metadata": noted, **wanted}
        for view in self._transport.items("/v1/jobs", query):
            yield Job(self._transport, self.masks, view)

    def stored_masks(self, /, **wanted: Any) -> Iterator[dict[str, Any]]:
        """Yield the masks that the server stores, newest first, as ``GET /v1/masks`` has them.

        ``wanted`` are parameters of that request: ``name``, ``algorithm``, ``pinned`` …
        """
        return self._transport.items("/v1/masks", {"page_size": _PAGE_SIZE, **wanted})

    def full_digest(self, start: str) -> str:
        """Return the digest of the stored masks that begins so, such as ``sha256:34e1dde4``.

        Raises
        ------
        NotFound
            The server has no masks that are called so.
        InvalidInput
            It has several.
        """
        if re.fullmatch(SHA256, start):
            return start
        found = [view["digest"] for view in islice(self.stored_masks(digest=start), 3)]
        if not found:
            raise NotFound(f"no masks {start}… are stored on {self.url}")
        if len(found) > 1:
            raise InvalidInput(f"several masks are called {start}…: {', '.join(found)}")
        return str(found[0])

    def networks(self) -> Iterator[dict[str, Any]]:
        """Yield the networks that jobs may be on, by name, as ``GET /v1/networks`` has them."""
        return self._transport.items("/v1/networks", {})

    def masks(self, digest: str, until: Deadline = NEVER) -> "MaskSet":
        """Fetch stored masks into memory, until a deadline.

        Raises
        ------
        NotFound
            The server has no masks of this digest.
        InvalidMasks
            The bytes received are not the bytes announced.
        """
        from raiw.masks import load

        data = b"".join(mask_file_chunks(self._transport, segment(digest), until))
        masks = load(data, verify=False)
        if masks.digest != digest:
            raise InvalidMasks(f"{self.url} answered {digest} with masks of {masks.digest}")
        return masks

    def download(self, digest: str, path: str | Path, form: str | None = None) -> None:
        """Fetch a mask file; ``path`` appears only when every byte has been checked.

        With a ``form`` of :func:`raiw.masks.export.export` its masks are written so, as ``raiw
        export`` does and with the bytes of ``GET …/file?format=``. The mask file, which is smaller,
        is what comes over the network.

        Raises
        ------
        NotFound
            The server has no masks of this digest, or the folder does not exist.
        InvalidMasks
            The bytes received are not the bytes announced.
        InvalidInput, TooLarge, MissingExtra
            As :func:`raiw.masks.export.export` says.
        """
        if form is None:
            write_atomically(path, mask_file_chunks(self._transport, segment(digest)))
            return
        from raiw.forms import FORMS
        from raiw.masks.export import export

        check_name(form, FORMS, "export form")
        export(self.masks(digest), path, form)

    def fetch(self, job: Job, folder: str | Path) -> list[Path]:
        """Download every file of a job that scored, pruned or trained; return their paths.

        Raises
        ------
        NotFound
            The folder does not exist.
        InvalidMasks
            The bytes received are not the bytes announced.
        """
        paths = {name: Path(folder) / file for name, file in self.file_names(job).items()}
        self.fetch_files(job, paths)
        return list(paths.values())

    def file_names(self, job: Job) -> dict[str, Path]:
        """Return the name below a folder of every file of such a job."""
        # A server's name for a file decides its name here, never its folder.
        names = [file["name"] for file in job.files]
        return {name: Path(Path(f"{name}.safetensors").name) for name in names}

    def fetch_files(self, job: Job, paths: Mapping[str, Path]) -> None:
        """Download some files of such a job, each to a path of its own."""
        for file in job.files:
            if file["name"] in paths:
                url, digest = f"/v1/blobs/{file['digest']}", file["digest"]
                chunks = file_chunks(self._transport, url, file["bytes"], digest)
                write_atomically(paths[file["name"]], chunks)
