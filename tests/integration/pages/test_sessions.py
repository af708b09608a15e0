"""Who may see the pages of a server that has a token, and what foreign pages cannot do."""

import httpx
import pytest

from tests.integration.api.servers import SPEC, start_server
from tests.integration.pages.checking import BROWSER, page, words

TOKEN = "a token of sixteen or more; ü"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("state"), token=TOKEN)
    yield server
    server.stop()


@pytest.fixture
def browser(guarded):
    with httpx.Client(base_url=guarded.url, headers=BROWSER, timeout=240) as client:
        yield client


def test_pages_ask_for_the_token_and_go_on_where_the_visitor_was(guarded, browser):
    asked = browser.get("/masks?sort=name")
    assert asked.status_code == 303
    assert asked.headers["location"] == "/login?next=%2Fmasks%3Fsort%3Dname"
    form = browser.get(asked.headers["location"])
    assert 'value="/masks?sort=name"' in form.text
    page(form)
    for given in ("", "wrong", TOKEN[:-1], "\ud7ff" * 50):
        refused = browser.post("/login", data={"token": given, "next": "/masks"})
        assert "This is neither a key of this server nor its" in words(page(refused, 403))
        assert "set-cookie" not in refused.headers
    signed = browser.post("/login", data={"token": f" {TOKEN}\n", "next": "/masks?sort=name"})
    assert signed.headers["location"] == "/masks?sort=name"
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN.split()[-2] not in cookie
    page(browser.get("/"))
    assert browser.get("/v1/jobs").status_code == 200  # what pages and their links ask for
    job = browser.post("/v1/jobs", json={"spec": SPEC}).json()["id"]
    events = {"Accept": "text/event-stream"}
    with browser.stream("GET", f"/v1/jobs/{job}/events", headers=events) as stream:
        assert "queued" in next(text for text in stream.iter_text() if "data:" in text)
    browser.post("/logout")
    assert browser.get("/").status_code == 303
    assert browser.get("/v1/jobs").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/jobs/job_x"),
        ("GET", "/docs"),
        ("GET", "/nosuch"),
        ("GET", "/pages/tiles/sha256:0/fc"),
        ("POST", "/new"),
        ("POST", "/pages/plan"),
        ("POST", "/pages/scores"),
        ("POST", "/jobs/job_x/cancel"),
        ("GET", "/keys"),
        ("POST", "/keys"),
    ],
)
def test_nothing_is_told_to_those_who_have_not_signed_in(browser, method, path):
    for cookies in ({}, {"raiw_session": "0" * 64}, {"raiw_session": "ü"}):
        browser.cookies.clear()
        header = "; ".join(f"{name}={value}" for name, value in cookies.items())
        answer = browser.request(method, path, headers={"Cookie": header.encode("latin-1")})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login")


@pytest.mark.parametrize(
    "next_", ["//evil.example", "https://evil.example", "/\\evil", "x", "/\t/e"]
)
def test_signing_in_leads_to_this_server_only(browser, next_):
    assert browser.post("/login", data={"token": TOKEN, "next": next_}).headers["location"] == "/"
    assert 'value="/"' in browser.get("/login", params={"next": next_}).text
    assert browser.post("/theme", data={"theme": "dark", "next": next_}).headers["location"] == "/"


def test_foreign_pages_cannot_write_with_the_cookie(guarded, browser):
    browser.post("/login", data={"token": TOKEN})
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        for path in ("/new", "/theme", "/pages/scores", "/v1/jobs", "/keys"):
            assert browser.post(path, headers=headers).status_code == 403
    own = browser.post("/theme", data={"theme": "dark"}, headers={"Origin": guarded.url})
    assert own.status_code == 303
    assert 'data-theme="dark"' in browser.get("/").text
    browser.post("/theme", data={"theme": "odd"})
    assert 'data-theme="auto"' in browser.get("/").text


def test_another_token_ends_every_session(guarded, browser, tmp_path):
    browser.post("/login", data={"token": TOKEN})
    other = start_server(tmp_path, token=TOKEN + "!")
    try:
        cookies = dict(browser.cookies)
        answer = httpx.get(f"{other.url}/", headers=BROWSER, cookies=cookies)
        assert answer.status_code == 303
    finally:
        other.stop()
