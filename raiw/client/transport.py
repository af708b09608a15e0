"""One HTTP connection pool with bounded timeouts, and retries where repeating is safe."""

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from raiw.client.problems import RETRIABLE, error_of
from raiw.errors import InvalidInput, RaiwError, Unreachable

ATTEMPTS = 5
"""Attempts for a safe request: about four seconds in all, unless the server asks for more."""
PATIENT_ATTEMPTS = 14
"""Attempts of a waiting client: a restart within a minute goes unnoticed."""
CONNECT_SECONDS = 5.0
MAX_PAUSE = 60.0
"""Longest ``Retry-After`` obeyed; beyond it the caller decides."""

_FIRST_PAUSE = 0.25
_LONGEST_BACKOFF = 8.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Transport:
    """Sends requests to one server and turns every failure into an error of :mod:`raiw.errors`."""

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(
                f"server URL {url!r} must be like http://127.0.0.1:8321 or https://raiw.example.org"
            )
        self.url = url.rstrip("/")
        self.timeout = timeout
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = self._connect(
            base_url=self.url,
            headers={"User-Agent": f"raiw-client/{version('raiw')}", **headers},
            timeout=self._timeout(0),
            # A proxy of the environment cannot know this machine's own loopback.
            trust_env=parts.hostname not in _LOOPBACK,
        )

    def _connect(self, **options: Any) -> httpx.Client:
        return httpx.Client(**options)

    def pause(self, seconds: float) -> None:
        """Wait before the next attempt."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def json(
        self, method: str, path: str, *, attempts: int = ATTEMPTS, wait: float = 0, **request: Any
    ) -> tuple[dict[str, Any], httpx.Headers]:
        """Send a request and return the object it answers, with the answer's headers."""
        response = self.send(method, path, attempts=attempts, wait=wait, **request)
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise RaiwError(
                f"{response.request.url} did not answer with a JSON object: is it a raiw server?"
            )
        return body, response.headers

    def send(
        self, method: str, path: str, *, attempts: int = ATTEMPTS, wait: float = 0, **request: Any
    ) -> httpx.Response:
        """Send a request and return the successful answer.

        Parameters
        ----------
        attempts
            How often to try; 1 where repeating is not safe.
        wait
            Seconds the server was asked to hold the answer back.
        request
            Passed to ``httpx.Client.request``; ``content`` may be a function that opens the body
            anew for every attempt.

        Raises
        ------
        Unreachable
            No answer, or an overloaded server, after all attempts.
        RaiwError
            Whatever the server's problem document says.
        """
        for attempt in range(1, attempts + 1):
            try:
                response = self._http.request(
                    method, path, timeout=self._timeout(wait), **_fresh(request)
                )
            except httpx.TransportError as error:
                failure: RaiwError = self._unreachable(error)
                pause = backoff(attempt)
            else:
                if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
                    return response
                failure = error_of(response)
                if response.status_code not in RETRIABLE:
                    raise failure
                pause = max(retry_after(response.headers), backoff(attempt))
            if attempt == attempts or pause > MAX_PAUSE:
                raise failure
            self.pause(pause)
        raise AssertionError("unreachable: the loop returns or raises")

    @contextmanager
    def stream(
        self, path: str, headers: dict[str, str], read_timeout: float | None = None
    ) -> Iterator[httpx.Response]:
        """Open a GET whose body is read piece by piece; tried once, failures are ours."""
        timeout = self._timeout(0)
        if read_timeout is not None:
            timeout.read = read_timeout
        try:
            with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise error_of(response)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _timeout(self, wait: float) -> httpx.Timeout:
        return httpx.Timeout(self.timeout + wait, connect=min(CONNECT_SECONDS, self.timeout))

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        reason = str(error) or type(error).__name__
        return Unreachable(
            f"no answer from {self.url} ({reason}): is the server running, and the URL right?"
        )


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
