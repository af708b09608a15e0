"""What a browser can be made to ask for by a page of somebody else."""

import httpx
import pytest

from tests.integration.api.servers import assert_problem

BODY = {"spec": {"layers": [], "craft": {}}}
TOKEN = "0123456789abcdef"
OTHERS = [
    "attacker.example",
    "attacker.example:80",
    "localhost.attacker.example",
    "10.0.0.1",
    "::2",
]
OURS = [
    "localhost",
    "LOCALHOST.",
    "localhost:1",
    "127.0.0.1",
    "127.9.9.9:80",
    "[::1]:80",
    "a.localhost",
]


def ask(server, method="GET", path="/v1/jobs", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(base_url=server.url) as client:
        return client.request(method, path, headers=named, json=None if method == "GET" else BODY)


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.parametrize("path", ["/v1/jobs", "/livez", "/openapi.json", "/nothing"])
def test_without_a_token_other_names_are_not_ours(server, host, path):
    problem = assert_problem(ask(server, path=path, host=host), 421, "misdirected-request")
    assert "RAIW_ALLOWED_HOSTS" in problem["detail"]


@pytest.mark.parametrize("host", OURS)
def test_loopback_names_are_ours(server, host):
    assert ask(server, host=host).status_code == 200


@pytest.fixture(scope="module")
def named(start):
    return start(allowed_hosts="raiw.example, *.cluster.example", token=TOKEN)


@pytest.fixture(scope="module")
def guarded(start):
    return start(token=TOKEN)


@pytest.mark.parametrize(
    "host", ["raiw.example", "RAIW.example:443", "a.cluster.example", "localhost"]
)
def test_the_names_of_the_setting_are_ours(named, host):
    assert ask(named, path="/livez", host=host).status_code == 200


@pytest.mark.parametrize("host", ["attacker.example", "cluster.example", "xraiw.example"])
def test_other_names_than_those_of_the_setting_are_not(named, host):
    assert_problem(ask(named, path="/livez", host=host), 421, "misdirected-request")


def test_a_token_makes_any_name_ours(guarded):
    assert ask(guarded, path="/livez", host="anything.example").status_code == 200


def test_a_request_without_a_name_is_no_browsers(server):
    with server.connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")


REFUSED = [
    {"origin": "http://attacker.example"},
    {"origin": "null"},
    {"origin": "http://["},
    {"origin": "http://localhost:1"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "cross-site", "origin": "http://attacker.example"},
]


@pytest.mark.parametrize("headers", REFUSED, ids=str)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/jobs"), ("PUT", "/v1/blobs/x"), ("DELETE", "/v1/uploads/x")]
)
def test_pages_of_others_may_not_write(server, headers, method, path):
    assert_problem(ask(server, method, path, **headers), 403, "forbidden")


@pytest.mark.parametrize("headers", REFUSED, ids=str)
def test_they_may_send_a_reader_here(server, headers):
    assert ask(server, **headers).status_code == 200


def test_own_pages_and_programs_may_write(server):
    own = server.url.removeprefix("http://")
    for headers in (
        {},
        {"origin": server.url},
        {"sec_fetch_site": "same-origin", "origin": "http://changed.by.a.proxy"},
        {"sec_fetch_site": "none"},
    ):
        assert ask(server, "POST", host=own, **headers).status_code == 422


def test_pages_of_the_setting_may_write(named):
    answer = ask(
        named, "POST", origin="https://raiw.example", sec_fetch_site="cross-site",
        authorization=f"Bearer {TOKEN}",
    )  # fmt: skip
    assert answer.status_code == 422
