"""Who may talk to the service from a browser: the names it answers to, the pages that may write.

Where no key is needed, a foreign web page needs no more than the operator's browser. A name that
resolves to a loopback address (DNS rebinding) is refused by the ``Host`` it sends; a page of
another site by ``Sec-Fetch-Site`` and ``Origin``, as Go's ``http.CrossOriginProtection`` decides.
Programs send neither and are not affected.
"""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from raiw.names import clipped
from service.api.problems import HTTP_CODES, problem
from service.settings import Settings, is_loopback

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class HostCheck:
    """Serves only requests for the service's own names, and writes only from its own pages."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            host, origin = host_name(headers.get("host", "")), headers.get("origin", "")
            # A request without a Host, as HTTP/1.0 allows, does not come from a browser.
            if "host" in headers and not self._answers_to(host):
                await _refuse(
                    scope,
                    receive,
                    send,
                    HTTPStatus.MISDIRECTED_REQUEST,
                    f"this server does not answer to the name {clipped(host)!r}: use localhost, "
                    f"or name it in RAIW_ALLOWED_HOSTS",
                )
                return
            if scope["method"] not in _SAFE and not self._may_write(headers, origin):
                await _refuse(
                    scope,
                    receive,
                    send,
                    HTTPStatus.FORBIDDEN,
                    f"pages of {clipped(origin) or 'another site'!r} may not write to this server: "
                    f"name their host in RAIW_ALLOWED_HOSTS",
                )
                return
        await self._app(scope, receive, send)

    def _answers_to(self, host: str) -> bool:
        settings = self._settings
        if settings.allowed_hosts:
            return is_loopback(host) or settings.allows_host(host)
        if not settings.keyless or settings.allow_public:
            return True
        return is_loopback(host) or host == settings.host.lower()

    def _may_write(self, headers: Headers, origin: str) -> bool:
        page = _host_of(origin)
        if page and self._settings.allows_host(host_name(page)):
            return True
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in {"same-origin", "none"}
        return not origin or page.lower() == headers.get("host", "").lower()


def _host_of(origin: str) -> str:
    """Return host and port of a page, nothing for a page without, or a header that names none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # a bracket without its other
        return ""


def host_name(host: str) -> str:
    """Return the name in a ``Host`` header: lower case, without port, brackets or a last dot.

    >>> host_name("LocalHost.:8321"), host_name("[::1]:80")
    ('localhost', '::1')
    """
    name, bracket, _ = host.partition("]")
    if not bracket:
        name = name.partition(":")[0]
    return name.removeprefix("[").removesuffix(".").lower()


async def _refuse(
    scope: Scope, receive: Receive, send: Send, status: HTTPStatus, detail: str
) -> None:
    response = problem(Request(scope), status, HTTP_CODES[status], detail)
    await response(scope, receive, send)
