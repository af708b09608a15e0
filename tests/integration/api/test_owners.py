"""Every route says whom it serves, and nobody is told what others have.

The tests walk the routes of the application, so a new one cannot escape them.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from raiw.canonical import digest_of
from service.access.scopes import declared
from service.access.sessions import COOKIE
from service.api.app import create_app
from service.contract.access import SCOPES, Scope, Unscoped
from service.settings import Settings
from tests.integration.api.owners import (
    NOBODYS,
    SCORES,
    SPEC,
    Belongings,
    calling,
    make_key,
)
from tests.integration.api.servers import Server

KINDS = {
    "job_id": "job",
    "upload_id": "upload",
    "key_id": "key",
    "webhook_id": "webhook",
    "delivery_id": "delivery",
    "/v1/blobs/{digest}": "blob",
    "/v1/masks/{digest}": "masks",
    "/masks/{digest}": "masks",
    "/pages/tiles/{digest}": "masks",
    "/pages/bits/{digest}": "masks",
    "/pages/pictures/{digest}": "masks",
}
"""What a parameter of a path names."""
OTHERS = {"name": "fc", "what": "density", "path": "pages.css", "name:path": "vgg16"}
IN_QUERIES = [
    ("GET", "/compare?a={masks}&b={masks}"),
    ("GET", "/new?job={job}"),
    ("GET", "/new?masks={masks}"),
]
REMOVES_WHAT_IS_NOT_THERE = {
    ("DELETE", "/v1/blobs/{digest}"): HTTPStatus.NO_CONTENT,
    ("DELETE", "/v1/masks/{digest}"): HTTPStatus.NO_CONTENT,
    ("DELETE", "/v1/webhooks/{webhook_id}"): HTTPStatus.NO_CONTENT,
    ("POST", "/masks/{digest}/remove"): HTTPStatus.SEE_OTHER,
    ("PUT", "/v1/blobs/{digest}"): HTTPStatus.UNPROCESSABLE_ENTITY,  # whoever has it gets 200
    ("PATCH", "/v1/uploads/{upload_id}"): HTTPStatus.NOT_FOUND,
}
"""Routes that say no 404 where nothing is: they must not say anything else where others have it."""
PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def guarded(start) -> Server:
    return start(require_keys=True)


@pytest.fixture(scope="module")
def alice(guarded) -> Belongings:
    return Belongings.of(guarded, "alice")


@pytest.fixture(scope="module")
def mallory(guarded) -> str:
    return make_key(guarded, "mallory", *(SCOPES - {Scope.KEYS_ADMIN})).key


def routes(app) -> Iterator[tuple[bool, APIRoute]]:
    """Yield all routes, and whether they are pages; a plain route, which asks nobody, is none."""
    yield from ((False, route) for route in flat(app.routes[:-1]))
    yield from ((True, route) for route in flat(app.routes[-1]._pages().routes))


def flat(found: list[BaseRoute]) -> Iterator[APIRoute]:
    """Yield routes, with those of included routers."""
    for route in found:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from flat(included.routes)
        else:
            assert isinstance(route, APIRoute), route
            yield route


def calls() -> list:
    app = create_app(Settings())
    return [
        pytest.param(is_page, method, route.path, id=f"{method} {route.path}")
        for is_page, route in routes(app)
        for method in sorted(route.methods)
    ]


def test_every_route_declares_what_it_needs():
    app = create_app(Settings())
    found = [*routes(app)]
    assert len(found) > 50
    assert [route.path for _, route in found if declared(route) is None] == []
    public = {route.path for _, route in found if declared(route) is Unscoped.PUBLIC}
    assert public == {
        "/livez", "/readyz", "/metrics", "/openapi.json",
        "/login", "/logout", "/theme", "/pages/static/{path:path}",
    }  # fmt: skip


def test_the_document_says_what_every_route_needs():
    app = create_app(Settings())
    document = app.openapi()
    for is_page, route in routes(app):
        needed = declared(route)
        if is_page or not route.include_in_schema:
            continue
        for method in route.methods:
            said = document["paths"][route.path_format][method.lower()].get("security", [])
            scopes = [needed.value] if isinstance(needed, Scope) else []
            assert said == ([] if needed is Unscoped.PUBLIC else [{"HTTPBearer": scopes}])


NOUNS = {
    "plan": "jobs",
    "specs": "uploads",
    "models": "jobs",
    "networks": "jobs",
    "schema": "jobs",
    "blobs": "uploads",
}
"""Whose scopes a path of the API needs, where they are not its own."""


def test_a_scope_fits_what_its_route_is_about_and_does():
    for is_page, route in routes(create_app(Settings())):
        needed = declared(route)
        if is_page or not isinstance(needed, Scope) or needed is Scope.KEYS_ADMIN:
            assert is_page or needed is not Scope.KEYS_ADMIN or route.path.startswith("/v1/keys")
            continue
        first = route.path.split("/")[2]
        reads = route.methods <= {"GET", "HEAD"} or first in {"plan", "specs"}
        assert needed == f"{NOUNS.get(first, first)}:{'read' if reads else 'write'}", route.path


def filled(path: str, names: dict[str, str]) -> str:
    """Return a path with names for its parameters; an unknown parameter has to be taught above."""

    def name_of(match: re.Match) -> str:
        parameter = match[1]
        for known, kind in KINDS.items():
            if parameter == known or (
                known.endswith(f"{{{parameter}}}") and path.startswith(known)
            ):
                return quote(names[kind])
        return OTHERS[parameter] if parameter in OTHERS else OTHERS[parameter.split(":")[0]]

    return re.sub(r"{([^}]+)}", name_of, path)


def ask(client: httpx.Client, method: str, path: str) -> httpx.Response:
    headers = {"Upload-Offset": "0"} if method == "PATCH" else {}
    if path.startswith("/v1/") and method == "POST":
        return client.request(method, path, json={})
    return client.request(method, path, headers=headers)


def told(answer: httpx.Response, names: dict[str, str]) -> tuple[int, str]:
    """Return what an answer tells, whatever was named and whenever it was asked."""
    text = answer.text
    for kind, name in names.items():
        text = text.replace(name, kind).replace(quote(name, safe=""), kind)
    return answer.status_code, re.sub(r"[0-9a-f]{32}", "", text)


@pytest.mark.parametrize(("is_page", "method", "path"), calls())
def test_what_others_have_is_told_apart_from_nothing_by_nobody(
    guarded, alice, mallory, is_page, method, path
):
    before = alice.seen()
    if is_page:
        with calling(guarded, None, **PAGE) as client:
            client.post("/login", data={"token": mallory})
            answers = [ask(client, method, filled(path, n)) for n in (alice.names, NOBODYS)]
    else:
        with calling(guarded, mallory) as client:
            answers = [ask(client, method, filled(path, n)) for n in (alice.names, NOBODYS)]
    theirs, nobodys = answers
    own = "{" in path and not path.endswith((":path}", "{path}"))
    if path.removeprefix("/v1").startswith("/keys"):
        assert {theirs.status_code, nobodys.status_code} == {HTTPStatus.FORBIDDEN}
    elif own:
        expected = REMOVES_WHAT_IS_NOT_THERE.get((method, path), HTTPStatus.NOT_FOUND)
        assert theirs.status_code == expected, theirs.text
        assert told(theirs, alice.names) == told(nobodys, NOBODYS)
    if is_page and path == "/logout":
        return
    for name in alice.names.values():
        if not own:
            assert name not in theirs.text
    assert "secret-name" not in theirs.text
    assert alice.seen() == before


@pytest.mark.parametrize(("method", "path"), IN_QUERIES)
def test_queries_of_pages_name_what_is_ones_own(guarded, alice, mallory, method, path):
    with calling(guarded, None, **PAGE) as client:
        client.post("/login", data={"token": mallory})
        theirs = client.request(method, path.format(**alice.names))
        nobodys = client.request(method, path.format(**NOBODYS))
    assert theirs.status_code == HTTPStatus.NOT_FOUND
    assert told(theirs, alice.names) == told(nobodys, NOBODYS)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/jobs/{job}/events", {"Accept": "text/event-stream"}),
        ("/v1/jobs/{job}", {"Prefer": "wait=5"}),
        ("/v1/jobs/{job}", {"If-None-Match": "*"}),
        ("/v1/masks/{masks}/file", {"Range": "bytes=0-3"}),
        ("/v1/masks/{masks}/file", {"If-None-Match": "*"}),
        ("/v1/masks/{masks}/layers/fc", {"Accept": "application/octet-stream"}),
        ("/v1/blobs/{blob}", {"Range": "bytes=0-3"}),
        ("/v1/blobs/{blob}", {"If-None-Match": "*"}),
    ],
)
def test_no_header_opens_what_others_have(guarded, alice, mallory, path, headers):
    with calling(guarded, mallory) as client:
        theirs = client.get(path.format(**alice.names), headers=headers)
        nobodys = client.get(path.format(**NOBODYS), headers=headers)
    assert theirs.status_code == HTTPStatus.NOT_FOUND
    assert told(theirs, alice.names) == told(nobodys, NOBODYS)


def test_the_beginning_of_an_id_finds_ones_own_jobs_only(guarded, alice, mallory):
    job = alice.names["job"]
    with calling(guarded, alice.key) as own, calling(guarded, mallory) as foreign:
        for length in range(8, len(job) + 1):
            assert own.get(f"/v1/jobs/{job[:length]}").json()["id"] == job
            for path in ("", "/events"):
                answer = foreign.get(f"/v1/jobs/{job[:length]}{path}")
                assert answer.status_code == HTTPStatus.NOT_FOUND
                assert job not in answer.text.replace(f"'{job}'", "").replace(f"/{job}", "")


def test_equal_requests_of_two_owners_do_not_meet(guarded, alice, mallory):
    """Neither what waits, nor what is stored, nor a digest tells that somebody else has it."""
    asked = {"spec": SPEC, "importance": digest_of(SCORES)}
    with calling(guarded, mallory) as client:
        assert client.post("/v1/jobs", json=asked).status_code == HTTPStatus.NOT_FOUND
        assert client.post("/v1/plan", json=asked).status_code == HTTPStatus.NOT_FOUND
        assert client.post("/v1/plan", json={"spec": SPEC}).json()["stored"] is False
        begun = {"digest": digest_of(SCORES), "bytes": len(SCORES)}
        upload = client.post("/v1/uploads", json=begun).json()
        assert (upload["complete"], upload["offset"]) == (False, 0)
        trained = {
            "kind": "train", "network": "digits-cnn", "data": "digits",
            "masks": alice.names["masks"],
        }  # fmt: skip
        assert client.post("/v1/jobs", json=trained).status_code == HTTPStatus.NOT_FOUND
        # Having the bytes is what lets him name them.
        assert client.put(f"/v1/blobs/{digest_of(SCORES)}", content=SCORES).status_code == 201
        made = client.post("/v1/jobs", json=asked)
        assert made.headers["x-raiw-cache"] == "created"
        assert made.json()["id"] != alice.names["job"]
        assert client.delete(f"/v1/blobs/{digest_of(SCORES)}").status_code == HTTPStatus.CONFLICT
        client.post(f"/v1/jobs/{made.json()['id']}/cancel")
        assert client.delete(f"/v1/blobs/{digest_of(SCORES)}").status_code == 204
    with calling(guarded, alice.key) as client:
        assert client.get(f"/v1/blobs/{digest_of(SCORES)}").content == SCORES


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_a_key_opens_the_routes_of_its_scopes_only(guarded, scope):
    most = make_key(guarded, "most", *(SCOPES - {scope})).key
    only = make_key(guarded, "only", scope).key
    for is_page, route in routes(guarded.app):
        if declared(route) is not scope:
            continue
        for method in route.methods:
            path = filled(route.path, NOBODYS)
            for key, opens in ((most, False), (only, True), (None, None)):
                with calling(guarded, None if is_page else key, **(PAGE if is_page else {})) as one:
                    if is_page and key is not None:
                        one.post("/login", data={"token": key})
                        assert one.cookies[COOKIE]
                    answer = one.request(method, path)
                if opens is None:
                    assert answer.status_code == (303 if is_page else 401)
                elif opens:
                    assert answer.status_code not in {401, 403}, (method, path, answer.text)
                else:
                    assert answer.status_code == HTTPStatus.FORBIDDEN, (method, path)
                    assert scope in answer.text or method == "HEAD"
