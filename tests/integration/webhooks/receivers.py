"""Receivers of webhooks: real servers that answer as they are told, and remember what came."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme


@dataclass
class Message:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came, and what is answered: a status, or a function that handles the request."""

    url: str = ""
    answer: int | Callable[[BaseHTTPRequestHandler], None] = 204
    messages: list[Message] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """The server names of TLS handshakes."""
    at_once: int = 0
    most_at_once: int = 0

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


def _handler(receiver: Receiver, lock: threading.Lock) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                receiver.at_once += 1
                receiver.most_at_once = max(receiver.most_at_once, receiver.at_once)
                receiver.messages.append(Message(self.path, headers, body))
            try:
                if callable(receiver.answer):
                    receiver.answer(self)
                else:
                    self.send_response(receiver.answer)
                    self.send_header("content-length", "0")
                    self.end_headers()
            finally:
                with lock:
                    receiver.at_once -= 1

        def log_message(self, *_: Any) -> None:
            return

    return Handler


@contextmanager
def receiving(
    authority: trustme.CA | None = None, name: str = "hooks.test", host: str = "127.0.0.1"
) -> Iterator[Receiver]:
    """Run a receiver on loopback; with an authority, over TLS."""
    receiver = Receiver()
    server = ThreadingHTTPServer((host, 0), _handler(receiver, threading.Lock()))
    scheme = "http"
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        context.sni_callback = lambda _socket, sent, _context: receiver.names.append(sent)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    receiver.url = f"{scheme}://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
