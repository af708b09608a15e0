"""One HTTP connection pool with bounded timeouts, and retries where repeating is safe."""

import math
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from raiw.client.deadline import Bounded, Deadline, bound
from raiw.client.deadline import until as ending
from raiw.client.problems import RETRIABLE, error_of
from raiw.client.tokens import checked_url
from raiw.errors import ForeignServer, RaiwError, Unreachable

ATTEMPTS = 5
"""Attempts for a safe request: about four seconds in all, unless the server asks for more."""
PATIENT_ATTEMPTS = 14
"""Attempts of a waiting client: a restart within a minute goes unnoticed."""
CONNECT_SECONDS = 5.0
MAX_PAUSE = 60.0
"""Longest ``Retry-After`` obeyed; beyond it the caller decides."""

NEVER = Deadline(None)

DEADLINE = "raiw.deadline"
"""Key of a request's deadline among its extensions."""
_LEAST_TIMEOUT = 0.05
_FIRST_PAUSE = 0.25
_LONGEST_BACKOFF = 8.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Transport:
    """Sends requests to one server and turns every failure into an error of :mod:`raiw.errors`."""

    def __init__(
        self, url: str, token: str | None, timeout: float, deadline: float | None = None
    ) -> None:
        self.url = checked_url(url)
        self.timeout = timeout
        self.deadline = Deadline(deadline)
        """When everything that is asked for must have been answered."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = self._connect(
            base_url=self.url,
            headers={"User-Agent": f"raiw-client/{version('raiw')}", **headers},
            event_hooks={"response": [_bound]},
            # A proxy of the environment cannot know this machine's own loopback.
            trust_env=urlsplit(self.url).hostname not in _LOOPBACK,
        )

    def _connect(self, **options: Any) -> httpx.Client:
        client = httpx.Client(**options)
        bound(client)
        return client

    def pause(self, seconds: float) -> None:
        """Wait before the next attempt."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        attempts: int = ATTEMPTS,
        wait: float = 0,
        until: Deadline = NEVER,
        **request: Any,
    ) -> tuple[dict[str, Any], httpx.Headers]:
        """Send a request and return the object it answers, with the answer's headers."""
        response = self.send(method, path, attempts=attempts, wait=wait, until=until, **request)
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise ForeignServer(
                f"{response.request.url} did not answer with a JSON object: is this the URL of a "
                f"raiw server?"
            )
        return body, response.headers

    def items(self, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page after page; None among the parameters is left out."""
        asked = {name: value for name, value in query.items() if value is not None}
        token: str | None = None
        while token != "":
            page, _ = self.json(
                "GET", path, params=asked | ({"page_token": token} if token else {})
            )
            yield from page["items"]
            token = page["next_page_token"]

    def send(
        self,
        method: str,
        path: str,
        *,
        attempts: int = ATTEMPTS,
        wait: float = 0,
        until: Deadline = NEVER,
        **request: Any,
    ) -> httpx.Response:
        """Send a request and return the successful answer.

        Parameters
        ----------
        attempts
            How often to try; 1 where repeating is not safe.
        wait
            Seconds the server was asked to hold the answer back.
        until
            Nothing is waited for beyond it, nor beyond the deadline of the transport.
        request
            Passed to ``httpx.Client.request``; ``content`` may be a function that opens the body
            anew for every attempt.

        Raises
        ------
        Unreachable
            No answer, or an overloaded server, after all attempts or until the deadline.
        StillRunning
            The deadline had passed before, or passed while the answer came.
        RaiwError
            Whatever the server's problem document says.
        """
        deadline = self.deadline.sooner(until)
        for attempt in range(1, attempts + 1):
            deadline.check(f"{method} {self.url}{path}")
            try:
                with ending(deadline):
                    response = self._http.request(
                        method,
                        path,
                        timeout=self._timeout(self.timeout + wait, deadline),
                        extensions={DEADLINE: deadline},
                        **_fresh(request),
                    )
            except httpx.TransportError as error:
                failure: RaiwError = self._unreachable(error, deadline)
                pause = backoff(attempt)
            else:
                if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
                    return response
                failure = error_of(response)
                if response.status_code not in RETRIABLE:
                    raise failure
                pause = max(retry_after(response.headers), backoff(attempt))
            if attempt == attempts or pause > min(MAX_PAUSE, deadline.left):
                raise failure
            self.pause(pause)
        raise AssertionError("unreachable: the loop returns or raises")

    @contextmanager
    def stream(
        self,
        path: str,
        headers: dict[str, str],
        read_timeout: float | None = None,
        until: Deadline = NEVER,
        *,
        elsewhere: bool = False,
    ) -> Iterator[httpx.Response]:
        """Open a GET whose body is read piece by piece; tried once, failures are ours.

        With ``elsewhere`` the server may send us to another host, which gets no ``Authorization``.
        """
        deadline = self.deadline.sooner(until)
        deadline.check(f"GET {self.url}{path}")
        timeout = self._timeout(read_timeout or self.timeout, deadline)
        options: dict[str, Any] = {"timeout": timeout, "extensions": {DEADLINE: deadline}}
        options["follow_redirects"] = elsewhere
        try:
            opened = self._http.stream("GET", path, headers=headers, **options)
            with ExitStack() as stack:
                with ending(deadline):
                    response = stack.enter_context(opened)
                if not response.is_success:
                    response.read()
                    raise error_of(response)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error, deadline) from error

    def _timeout(self, seconds: float, deadline: Deadline) -> httpx.Timeout:
        # A timeout of 0 would mean: do not wait at all, not even for what has come.
        longest = max(_LEAST_TIMEOUT, min(seconds, deadline.left))
        return httpx.Timeout(longest, connect=min(CONNECT_SECONDS, longest))

    def _unreachable(self, error: httpx.TransportError, deadline: Deadline) -> Unreachable:
        reason = str(error) or type(error).__name__
        within = f" within {deadline.seconds:g} s" if deadline.passed else ""
        return Unreachable(
            f"no answer from {self.url}{within} ({reason}): is the server running, and the URL "
            f"right?"
        )


def _bound(response: httpx.Response) -> None:
    """Hold an answer to the deadline of its request."""
    deadline: Deadline = response.request.extensions[DEADLINE]
    stream = response.stream
    if deadline.seconds is not None and isinstance(stream, httpx.SyncByteStream):
        what = f"the answer of {response.request.url}"
        response.stream = Bounded(stream, deadline, what)


def segment(name: str) -> str:
    """Escape what would change the path of a request."""
    return quote(name, safe=":")


def backoff(attempt: int) -> float:
    """Return the pause after a failed attempt, doubling, with jitter so that clients spread."""
    longest = min(_LONGEST_BACKOFF, math.ldexp(_FIRST_PAUSE, attempt - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads load, guards no secret


def retry_after(headers: httpx.Headers) -> float:
    """Return the seconds the server asks to wait, 0 where it does not say."""
    try:
        return max(0.0, float(headers.get("retry-after", "0")))
    except ValueError:
        return 0.0


def _fresh(request: dict[str, Any]) -> dict[str, Any]:
    content = request.get("content")
    return request | {"content": content()} if callable(content) else request
