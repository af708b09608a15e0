"""The part of the client that asks for jobs and plans."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raiw.canonical import digest_of_file, is_digest
from raiw.client.deadline import Deadline
from raiw.client.job import Job
from raiw.client.options import DEFAULT_OPTIONS, DataLike, JobOptions, SpecLike
from raiw.client.transport import NEVER, Transport
from raiw.client.uploads import ScoresLike, ensure_blob, score_file
from raiw.errors import NotFound
from raiw.specs.spec import Spec

if TYPE_CHECKING:
    from raiw.jobs.document import JobDocument
    from raiw.masks import MaskSet


class Asking:
    """What :class:`raiw.Client` asks a server to do."""

    _transport: Transport

    @abstractmethod
    def masks(self, digest: str, until: Deadline = NEVER) -> "MaskSet":
        """Fetch stored masks into memory."""

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

    def budget(
        self,
        /,
        spec: SpecLike,
        importance: str | Path,
        method: str,
        *,
        job: JobOptions = DEFAULT_OPTIONS,
        **task: Any,
    ) -> Job:
        """Ask for the shares of a budget that layers get by scores or weights.

        The arguments are those of :func:`raiw.budgets.budget.budget`; ``craft=True`` asks for the
        masks too. The job's report has the ``spec``, its ``plan`` and the digest of the ``masks``.
        """
        body = {"spec": Spec.of(spec).canonical(), "method": method, **task}
        return self._submit({"kind": "budget", "importance": self._upload(importance), **body}, job)

    def verify(
        self,
        masks: "str | Path | MaskSet",
        spec: SpecLike | None = None,
        importance: str | Path | None = None,
        *,
        job: JobOptions = DEFAULT_OPTIONS,
    ) -> Job:
        """Ask a worker what :func:`raiw.verify` finds; the job's report has it.

        Parameters
        ----------
        masks
            Masks that the server has, or their content digest; or the path of a mask file, which is
            uploaded.
        """
        body: dict[str, Any] = {"kind": "verify"}
        if isinstance(masks, Path) or (isinstance(masks, str) and not is_digest(masks)):
            body["file"] = self._upload(masks)
        else:
            body["masks"] = masks if isinstance(masks, str) else masks.digest
        if spec is not None:
            body["spec"] = Spec.of(spec).canonical()
        if importance is not None:
            body["importance"] = self._upload(importance)
        return self._submit(body, job)

    def study(
        self,
        /,
        spec: SpecLike,
        importance: str | Path | None = None,
        *,
        job: JobOptions = DEFAULT_OPTIONS,
        **task: Any,
    ) -> Job:
        """Ask for a comparison of ``methods`` over ``seeds`` on one spec, in the job's report."""
        body = {"kind": "study", "spec": Spec.of(spec).canonical(), **task}
        if importance is not None:
            body["importance"] = self._upload(importance)
        return self._submit(body, job)

    def graph(
        self,
        /,
        widths: Sequence[int],
        edges: int,
        method: str = "greedy",
        seed: int = 0,
        *,
        job: JobOptions = DEFAULT_OPTIONS,
    ) -> Job:
        """Ask for one graph over all layers of a network, as ``raiw.crafting.network`` crafts it.

        The job's file has the ``(out, in)`` booleans of each pair of layers, its report their edges
        and the statistics of the whole.
        """
        body = {"widths": [*widths], "edges": edges, "method": method, "seed": seed}
        return self._submit({"kind": "graph", **body}, job)

    def reproduce(self, item: str, *, job: JobOptions = DEFAULT_OPTIONS) -> Job:
        """Ask for numbers that the papers print, as ``raiw reproduce`` lists them, or ``all``."""
        return self._submit({"kind": "reproduce", "item": item}, job)

    def spec_of(self, /, weights: str | Path, **options: Any) -> dict[str, Any]:
        """Return the spec of a checkpoint, and what was taken for granted: ``POST /v1/specs``.

        Parameters
        ----------
        weights
            A safetensors file, which is uploaded if the server lacks it, or its digest there.
        options
            Other fields of the request: ``density``, ``transposed``, ``name``.
        """
        body = {"weights": self._upload(weights), **options}
        return self._transport.json("POST", "/v1/specs", json=body)[0]

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
