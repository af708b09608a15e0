"""The client: a server's resources as methods."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from raiw.canonical import digest_of_file, is_digest
from raiw.client.deadline import Deadline
from raiw.client.downloads import file_chunks, mask_file_chunks
from raiw.client.job import Job
from raiw.client.options import DEFAULT_OPTIONS, DataLike, JobOptions, SpecLike
from raiw.client.tokens import find_token, server_url
from raiw.client.transport import NEVER, Transport, segment
from raiw.client.uploads import ScoresLike, ensure_blob, score_file
from raiw.client.webhooks import Webhooks
from raiw.errors import InvalidMasks, NotFound
from raiw.files import write_atomically
from raiw.specs.spec import Spec

if TYPE_CHECKING:
    from raiw.jobs.document import JobDocument
    from raiw.masks import MaskSet

_PAGE_SIZE = 100


class Client:
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

    def plan(self, spec: SpecLike, importance: ScoresLike | None = None) -> dict[str, Any]:
        """Return what a job would build, as in ``POST /v1/plan``; nothing is crafted.

        An importance file is uploaded if the server lacks it, because its shapes are checked.
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
        priority: str | None = None,
    ) -> Job:
        """Ask for masks and return the job that makes or has made them.

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
        priority
            Of your own jobs: ``high`` before ``normal``, the default, before ``low``.

        Raises
        ------
        InvalidSpec, InvalidImportance
            The request cannot be crafted.
        Unauthorized
            The server wants a token, or refused this one.
        Unreachable
            The server does not answer.
        """
        options = JobOptions(wait, timeout_seconds, deadline_at, metadata, priority)
        return self._submit(self._request(Spec.of(spec), importance), options)

    def score(
        self,
        /,
        network: str,
        weights: str | Path,
        data: DataLike | None = None,
        *,
        job: JobOptions = DEFAULT_OPTIONS,
        **task: Any,
    ) -> Job:
        """Ask for the importance scores of a trained network.

        Parameters
        ----------
        network
            A name that :meth:`networks` yields.
        weights
            Its state dict: a safetensors file, or the digest of one on the server.
        data
            Name of a data set that the workers have, or a path of a file to upload.
        job
            What every job may say.
        task
            Other fields of the job: ``method``, ``options``, ``arguments`` of the network … What is
            left out has its default; ``channels`` may be a file, as :meth:`prune` makes.

        Raises
        ------
        InvalidInput, Unauthorized, Unreachable
            As for :meth:`craft`.
        """
        return self._network_job("score", network, job, data, {**task, "weights": weights})

    def prune(
        self,
        /,
        network: str,
        weights: str | Path,
        data: DataLike | None = None,
        *,
        job: JobOptions = DEFAULT_OPTIONS,
        **task: Any,
    ) -> Job:
        """Ask for a network without some of its channels; the arguments are those of ``score``."""
        return self._network_job("prune", network, job, data, {**task, "weights": weights})

    def train(
        self,
        /,
        network: str,
        data: DataLike,
        *,
        masks: "str | MaskSet | None" = None,
        spec: SpecLike | None = None,
        importance: ScoresLike | None = None,
        job: JobOptions = DEFAULT_OPTIONS,
        **task: Any,
    ) -> Job:
        """Ask for a trained network.

        Parameters
        ----------
        masks
            Masks to hold, which the server has, or their content digest.
        spec, importance
            What to craft masks from instead. Without masks and spec the dense network is trained.
        task
            Other fields of the job, as for :meth:`score`: ``recipe``, ``seeds``, ``weights`` …
        """
        task |= {"masks": masks, "spec": spec, "importance": importance}
        return self._network_job("train", network, job, data, task)

    def speed(self, /, network: str, *, job: JobOptions = DEFAULT_OPTIONS, **task: Any) -> Job:
        """Ask how fast a worker's machine runs a network with masks, named as for ``train``."""
        return self._network_job("speed", network, job, None, task)

    def submit(
        self,
        document: "JobDocument",
        files: Mapping[str, Path] | None = None,
        *,
        job: JobOptions = DEFAULT_OPTIONS,
    ) -> Job:
        """Ask for what a document of :mod:`raiw.jobs` says.

        ``files`` that it names by their digests are uploaded where the server lacks them. Raises
        what :meth:`craft` does.
        """
        for digest, path in (files or {}).items():
            ensure_blob(self._transport, path, digest)
        return self._submit(document.model_dump(mode="json"), job)

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
        for view in self._items("/v1/jobs", query):
            yield Job(self._transport, self.masks, view)

    def stored_masks(self, /, **wanted: Any) -> Iterator[dict[str, Any]]:
        """Yield the masks that the server stores, newest first, as ``GET /v1/masks`` has them.

        ``wanted`` are parameters of that request: ``name``, ``algorithm``, ``pinned`` …
        """
        return self._items("/v1/masks", {"page_size": _PAGE_SIZE, **wanted})

    def networks(self) -> Iterator[dict[str, Any]]:
        """Yield the networks that jobs may be on, by name, as ``GET /v1/networks`` has them."""
        return self._items("/v1/networks", {})

    def _items(self, url: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page after page."""
        page: dict[str, Any] = {"next_page_token": None}
        while page["next_page_token"] != "":
            asked = {name: value for name, value in query.items() if value is not None}
            page, _ = self._transport.json("GET", url, params=asked)
            yield from page["items"]
            query = query | {"page_token": page["next_page_token"]}

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

    def download(self, digest: str, path: str | Path) -> None:
        """Fetch a mask file; ``path`` appears only when every byte has been checked.

        Raises
        ------
        NotFound
            The server has no masks of this digest, or the folder does not exist.
        InvalidMasks
            The bytes received are not the bytes announced.
        """
        write_atomically(path, mask_file_chunks(self._transport, segment(digest)))

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

    def _network_job(
        self,
        kind: str,
        network: str,
        options: JobOptions,
        data: DataLike | None,
        task: dict[str, Any],
    ) -> Job:
        masks, spec, scores = (task.pop(name, None) for name in ("masks", "spec", "importance"))
        body = {"kind": kind, "network": network, **task}
        if masks is not None:
            body["masks"] = masks if isinstance(masks, str) else masks.digest
        if spec is not None:
            body |= self._request(Spec.of(spec), scores)
        if data is not None:
            body["data"] = self._upload(data) if isinstance(data, Path) else data
        for name in ("weights", "channels"):
            if task.get(name) is not None:
                body[name] = self._upload(task[name])
        return self._submit(body, options)

    def _upload(self, file: str | Path) -> str:
        """Upload a file if the server lacks it, and return its digest."""
        if is_digest(file):
            return str(file)
        if not Path(file).is_file():
            raise NotFound(f"no file {str(file)!r}")
        digest = digest_of_file(Path(file))
        ensure_blob(self._transport, Path(file), digest)
        return digest

    def _submit(self, body: dict[str, Any], options: JobOptions) -> Job:
        # Jobs are named by their content, so asking twice makes one job: repeating is safe.
        body |= options.to_json()
        view, answered = self._transport.json(
            "POST", "/v1/jobs", json=body, headers=options.headers, wait=options.wait or 0
        )
        return Job(self._transport, self.masks, view, answered.get("x-raiw-cache"))

    def _request(self, spec: Spec, importance: ScoresLike | None) -> dict[str, Any]:
        """Return the body of a plan or job, its importance file uploaded."""
        if importance is None:
            spec.algorithm(scored=False)
            return {"spec": spec.canonical(), "importance": None}
        if isinstance(importance, str) and is_digest(importance):
            return {"spec": spec.canonical(), "importance": importance}
        with score_file(importance, spec) as (path, digest):
            ensure_blob(self._transport, path, digest)
        return {"spec": spec.canonical(), "importance": digest}
