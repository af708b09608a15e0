"""One POST to an address of a stranger's choice: where it may go, and how it is bounded."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpcore
import httpx
import pytest
import trustme

from raiw.errors import InvalidInput, Unreachable
from service.contract.errors import ForbiddenAddress
from service.jobs.delivering import posting
from service.jobs.delivering.addresses import check_url, is_allowed, resolve
from service.jobs.delivering.posting import MAX_ANSWER_BYTES, post
from tests.integration.webhooks.receivers import Receiver, receiving

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
PUBLIC = "93.184.215.14"
INSIDE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.251", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe",
    "::ffff:93.184.215.14", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "fc00::1", "fd00:ec2::254",
    "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1",
]  # fmt: skip
"""Every address that is not one host of the Internet, whatever it is written like."""


class Names:
    """A resolver: what names it knows, and how often each was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look)

    def _look(self, host: str, port: int, *args: object, **options: object) -> object:
        if host not in self.known:
            ipaddress.ip_address(host)  # only numbers are left to the system
            return self._real(host, port, *args, **options)
        self.asked.append(host)
        answers = self.known[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, port))
            for one in addresses
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.fixture
def plain() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trustme.CA]:
    """An authority that this process trusts, as an operator names it."""
    made = trustme.CA()
    file: Path = tmp_path_factory.mktemp("authority") / "ca.pem"
    made.cert_pem.write_to_path(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        posting._trusted.cache_clear()
        yield made
    posting._trusted.cache_clear()


def send(url: str, networks: list[object] | None = None, seconds: float = 20) -> posting.Answer:
    return post(url, b"{}", {"webhook-id": "msg_1"}, networks or [], seconds)


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_inside_is_allowed_nor_a_name_that_has_it(names: Names, address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), [])
    names.known["rebound.test"] = [[PUBLIC, address]]
    with pytest.raises(ForbiddenAddress, match=r"rebound\.test") as refused:
        send("https://rebound.test/")
    assert address not in str(refused.value)
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    with pytest.raises(InvalidInput):
        check_url(f"https://{host}/hook", [])


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), [])
    host = f"[{address}]" if ":" in address else address
    assert check_url(f"https://{host}:8443/a?b=c", []) == f"https://{host}:8443/a?b=c"


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1"])
def test_numbers_that_resolvers_read_as_addresses_lead_nowhere(host: str) -> None:
    """They are refused when they are registered, and again by what they resolve to."""
    with pytest.raises(InvalidInput) as refused:
        check_url(f"https://{host}/", [])
    assert refused.value.pointer == "/url"
    assert socket.getaddrinfo(host, 80)[0][4][0] == "127.0.0.1"
    with pytest.raises((ForbiddenAddress, httpx.InvalidURL)):
        assert not resolve(httpx.URL(f"https://{host}/"), [])


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "example.com", "",
        "https://", "https://user@example.com/", "https://:secret@example.com/",
        "https://example.com/#part", "https://example.com:99999/", "https://[::1", "//example.com/",
        "https://127.0.0.1./", "gopher://127.0.0.1:6379/_FLUSHALL", "https://１２７.0.0.1/",
    ],
)  # fmt: skip
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_url(url, [])
    assert refused.value.pointer == "/url"
    assert "secret" not in str(refused.value)


def test_a_url_is_kept_as_it_will_be_asked_for() -> None:
    assert check_url("HTTPS://Exämple.com/a b", []) == "https://xn--exmple-cua.com/a%20b"
    assert check_url("http://127.0.0.1:8080/", LOOPBACK) == "http://127.0.0.1:8080/"
    for host in ("10.0.0.1", "hooks.test", "localhost.example.com"):
        with pytest.raises(InvalidInput):
            check_url(f"http://{host}/", [*LOOPBACK, ipaddress.ip_network("10.0.0.0/8")])


def test_a_name_is_resolved_once_and_the_answer_is_where_it_goes(
    names: Names, authority: trustme.CA
) -> None:
    """The name's owner has it lead elsewhere when it is looked up again: nobody does."""
    with receiving(authority) as receiver:
        names.known["hooks.test"] = [["127.0.0.1"], ["127.9.9.9"]]
        answer = send(f"https://hooks.test:{receiver.port}/hook?x=1", LOOPBACK)
    assert answer.status == 204
    (message,) = receiver.messages
    assert names.asked == ["hooks.test"]
    assert message.path == "/hook?x=1"
    assert message.headers["host"] == f"hooks.test:{receiver.port}"
    assert message.headers["content-type"] == "application/json"
    assert receiver.names == ["hooks.test"]


def test_the_certificate_must_be_that_of_the_name(names: Names, authority: trustme.CA) -> None:
    with receiving(authority, name="other.test") as receiver:
        names.known["hooks.test"] = [["127.0.0.1"]]
        with pytest.raises(Unreachable, match="certificate"):
            send(f"https://hooks.test:{receiver.port}/", LOOPBACK)
    assert not receiver.messages
    stranger = trustme.CA()
    with receiving(stranger) as receiver, pytest.raises(Unreachable, match="certificate"):
        send(f"https://hooks.test:{receiver.port}/", LOOPBACK)


def test_the_second_address_is_tried_when_the_first_does_not_answer(
    names: Names, plain: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And has half of the time left, should the first say nothing at all."""
    names.known["hooks.test"] = [["127.0.0.9", "127.0.0.1"]]
    given, connect = [], httpcore.SyncBackend.connect_tcp

    def noting(self: object, host: str, port: int, timeout: float, *more: object) -> object:
        given.append(timeout)
        return connect(self, host, port, timeout, *more)

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", noting)
    assert post(f"http://hooks.test:{plain.port}/", b"", {}, LOOPBACK, 40).status == 204
    first, second = given
    assert first <= 20 < second


def test_plain_http_goes_to_this_machine_alone(names: Names) -> None:
    names.known["hooks.test"] = [[PUBLIC]]
    with pytest.raises(ForbiddenAddress):
        send("http://hooks.test/", LOOPBACK)


def test_a_proxy_of_the_environment_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, plain: Receiver
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send(plain.url, LOOPBACK).status == 204


def test_nobody_follows_a_redirect(plain: Receiver) -> None:
    def elsewhere(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("location", f"{plain.url}/elsewhere")
        request.send_header("content-length", "0")
        request.end_headers()

    plain.answer = elsewhere
    assert send(plain.url, LOOPBACK).status == 302
    assert [message.path for message in plain.messages] == ["/"]


@pytest.mark.parametrize("text", ["120", "soon", "-5", "9" * 400])
def test_retry_after_is_read(plain: Receiver, text: str) -> None:
    def later(request: BaseHTTPRequestHandler) -> None:
        request.send_response(503)
        request.send_header("retry-after", text)
        request.send_header("content-length", "4")
        request.end_headers()
        request.wfile.write(b"busy")

    plain.answer = later
    answer = send(plain.url, LOOPBACK)
    expected = {"120": 120, "soon": None, "-5": None}.get(text, 999_999_999)
    assert (answer.text, answer.retry_after) == ("busy", expected)


def test_retry_after_may_be_a_date() -> None:
    assert posting._seconds(b"Fri, 31 Dec 2100 23:59:59 GMT") > 86400
    assert posting._seconds(b"Fri, 31 Dec 1999 23:59:59 GMT") == 0


def test_no_more_is_read_of_an_answer_than_may_be(plain: Receiver) -> None:
    """The rest is not waited for: it may never end."""
    let_go = threading.Event()

    def pour(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", str(1 << 40))
        request.end_headers()
        request.wfile.write(b"x" * (2 * MAX_ANSWER_BYTES))
        let_go.wait(60)
        request.close_connection = True

    plain.answer = pour
    try:
        assert send(plain.url, LOOPBACK, 60).text == "x" * MAX_ANSWER_BYTES
    finally:
        let_go.set()


@pytest.mark.parametrize("part", ["header", "body"])
def test_bytes_that_drip_do_not_extend_the_time(plain: Receiver, part: str) -> None:
    """Each comes long before any single read would time out."""
    let_go = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        if part == "body":
            request.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        else:
            request.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        request.close_connection = True
        try:
            while not let_go.wait(0.05):
                request.wfile.write(b"x")
        except OSError:
            pass

    plain.answer = drip
    began = time.monotonic()
    try:
        with pytest.raises(Unreachable, match=r"0\.5 s"):
            send(plain.url, LOOPBACK, 0.5)
    finally:
        let_go.set()
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9\r\n", b"", b"HTTP/1.1 200 OK\r\nx: " + b"x" * 300_000]
)
def test_what_is_not_http_is_no_answer(plain: Receiver, said: bytes) -> None:
    def say(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(said)
        request.close_connection = True

    plain.answer = say
    with pytest.raises(Unreachable):
        send(plain.url, LOOPBACK)


def test_a_receiver_that_is_away_or_silent_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            send(f"http://127.0.0.1:{port}/", LOOPBACK, 0.3)
        with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            send(f"https://127.0.0.1:{port}/", LOOPBACK, 0.3)
    with pytest.raises(Unreachable):
        send(f"http://127.0.0.1:{port}/", LOOPBACK)
    with pytest.raises(Unreachable, match="has no address"):
        send("https://a..b/")
    assert isinstance(posting._trusted(), ssl.SSLContext)
