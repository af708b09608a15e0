"""The client for asyncio: the methods of :class:`raiw.Client` and of its jobs, to be awaited."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

from raiw.client.async_webhooks import AsyncWebhooks
from raiw.client.awaiting import AsyncTransport, in_loop, iterate
from raiw.client.client import Client
from raiw.client.job import Event, Job

P = ParamSpec("P")
R = TypeVar("R")
Awaited = Callable[Concatenate["AsyncClient", P], Coroutine[Any, Any, R]]


class AsyncJob:
    """A :class:`raiw.client.Job` whose methods are awaited; attributes are read as there."""

    def __init__(self, job: Job) -> None:
        self.job = job
        """What makes the requests."""

    def __repr__(self) -> str:
        return repr(self.job).replace("Job", "AsyncJob", 1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.job, name)

    async def refresh(self) -> Self:
        """Ask the server for the job's state."""
        await in_loop(self.job.refresh)
        return self

    async def wait(self, timeout: float | None = None) -> Self:  # noqa: ASYNC109 -- as in Job
        """Wait until the job has ended in any way; see :meth:`raiw.client.Job.wait`."""
        await in_loop(self.job.wait, timeout)
        return self

    def events(self, after: int = 0, timeout: float | None = None) -> AsyncIterator[Event]:
        """Yield events as they happen; see :meth:`raiw.client.Job.events`."""
        return iterate(lambda: self.job.events(after, timeout))

    async def cancel(self, metadata: Mapping[str, str] | None = None) -> Self:
        """Ask the server to stop the job; see :meth:`raiw.client.Job.cancel`."""
        await in_loop(self.job.cancel, metadata)
        return self

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 -- as in Job
        """Wait for the masks and fetch them; see :meth:`raiw.client.Job.result`."""
        return await in_loop(self.job.result, timeout)


def _awaited(
    method: Callable[Concatenate[Client, P], R],
) -> Awaited[P, R]:
    """Return a client's method for asyncio."""

    @wraps(method)
    async def call(self: "AsyncClient", *args: P.args, **kwargs: P.kwargs) -> R:
        return await in_loop(method, self.client, *args, **kwargs)

    return cast("Awaited[P, R]", call)


def _awaited_job(
    method: Callable[Concatenate[Client, P], Job],
) -> Awaited[P, AsyncJob]:
    """Return a client's method that returns a job, for asyncio."""

    @wraps(method)
    async def call(self: "AsyncClient", *args: P.args, **kwargs: P.kwargs) -> AsyncJob:
        return AsyncJob(await in_loop(method, self.client, *args, **kwargs))

    return cast("Awaited[P, AsyncJob]", call)


def _iterated(
    method: Callable[Concatenate[Client, P], Iterator[R]],
) -> Callable[Concatenate["AsyncClient", P], AsyncIterator[R]]:
    """Return a client's method that yields, for asyncio."""

    @wraps(method)
    def call(self: "AsyncClient", *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        return iterate(lambda: method(self.client, *args, **kwargs))

    return cast('Callable[Concatenate["AsyncClient", P], AsyncIterator[R]]', call)


class AsyncClient:
    """A raiw server, seen from asyncio: what :class:`raiw.Client` does, to be awaited.

    Takes what that class takes, and raises what it raises. Any number of calls may be under way;
    :func:`asyncio.timeout` and cancellation end one at any point.

    Examples
    --------
    ::

        async with raiw.AsyncClient() as client:
            jobs = await asyncio.gather(*(client.craft(spec) for spec in specs))
            masks = [await job.result() for job in jobs]
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        timeout: float = 30.0,
        *,
        deadline: float | None = None,
    ) -> None:
        self.client = Client(url, token, timeout, deadline=deadline, transport=AsyncTransport)
        """What makes the requests."""

    @property
    def url(self) -> str:
        """Address of the server."""
        return self.client.url

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.client.left

    @property
    def webhooks(self) -> AsyncWebhooks:
        """The server's webhooks."""
        return AsyncWebhooks(self.client.webhooks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    close = _awaited(Client.close)
    health = _awaited(Client.health)
    whoami = _awaited(Client.whoami)
    plan = _awaited(Client.plan)
    craft = _awaited_job(Client.craft)
    score = _awaited_job(Client.score)
    prune = _awaited_job(Client.prune)
    train = _awaited_job(Client.train)
    speed = _awaited_job(Client.speed)
    budget = _awaited_job(Client.budget)
    verify = _awaited_job(Client.verify)
    study = _awaited_job(Client.study)
    graph = _awaited_job(Client.graph)
    reproduce = _awaited_job(Client.reproduce)
    spec_of = _awaited(Client.spec_of)
    submit = _awaited_job(Client.submit)
    job = _awaited_job(Client.job)
    networks = _iterated(Client.networks)
    masks = _awaited(Client.masks)
    full_digest = _awaited(Client.full_digest)
    stored_masks = _iterated(Client.stored_masks)
    download = _awaited(Client.download)

    def jobs(
        self,
        status: str | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        **wanted: Any,
    ) -> AsyncIterator[AsyncJob]:
        """Yield the server's jobs, newest first; see :meth:`raiw.Client.jobs`."""
        found = self.client.jobs
        return iterate(lambda: map(AsyncJob, found(status, metadata=metadata, **wanted)))

    def file_names(self, job: AsyncJob) -> dict[str, Path]:
        """Name every file of a job below a folder; see :meth:`raiw.Client.file_names`."""
        return self.client.file_names(job.job)

    async def fetch(self, job: AsyncJob, folder: str | Path) -> list[Path]:
        """Download every file of a job; see :meth:`raiw.Client.fetch`."""
        return await in_loop(self.client.fetch, job.job, folder)

    async def fetch_files(self, job: AsyncJob, paths: Mapping[str, Path]) -> None:
        """Download some files of a job; see :meth:`raiw.Client.fetch_files`."""
        await in_loop(self.client.fetch_files, job.job, paths)
