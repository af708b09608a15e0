"""The life of a key: made, shown once, used, rotated, expired, revoked."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event, update

from service.contract.access import LOCAL, SCOPES
from service.contract.keys import KEY, key_id_of
from service.store.tables import KeyRow
from tests.integration.api.owners import SPEC, calling, make_key
from tests.integration.api.servers import Server, assert_problem, start_server
from tests.integration.stack import eventually

TOKEN = "a token of sixteen or more"
SSE = "text/event-stream"


@pytest.fixture(scope="module")
def guarded(start) -> Server:
    return start(token=TOKEN)


@pytest.fixture(scope="module")
def admin(guarded) -> httpx.Client:
    with calling(guarded, TOKEN) as client:
        yield client


def whoami(server: Server, key: str) -> httpx.Response:
    with calling(server, key) as client:
        return client.get("/v1/whoami")


def change(server: Server, key_id: str, **values: object) -> None:
    with server.services.database.write() as session:
        session.execute(update(KeyRow).where(KeyRow.id == key_id).values(**values))


def test_the_token_makes_the_first_key_which_is_shown_once(guarded, admin):
    assert admin.get("/v1/whoami").json() == {
        "owner": LOCAL, "key_id": None, "scopes": sorted(SCOPES)
    }  # fmt: skip
    asked = {"owner": "ci", "name": "the pipeline", "scopes": ["jobs:write", "jobs:read"]}
    made = admin.post("/v1/keys", json=asked)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "private, no-store"
    key = made.json().pop("key")
    assert key_id_of(key) == made.json()["id"]
    mine = whoami(guarded, key).json()
    assert mine == {"owner": "ci", "key_id": key_id_of(key), "scopes": sorted(asked["scopes"])}
    shown = admin.get(f"/v1/keys/{key_id_of(key)}")
    assert KEY.search(shown.text) is None
    assert shown.json() | {"last_used_at": None} == {
        **{name: value for name, value in made.json().items() if name != "key"},
        "last_used_at": None,
    }
    assert shown.json()["last_used_at"] is not None
    listed = admin.get("/v1/keys")
    assert KEY.search(listed.text) is None
    assert shown.json()["id"] in {one["id"] for one in listed.json()["items"]}
    database = Path(guarded.services.settings.state_dir).glob("raiw.sqlite*")
    assert not any(key[18:].encode() in file.read_bytes() for file in database)


def test_keys_come_in_pages(guarded, admin):
    made = [make_key(guarded, "many").id for _ in range(3)]
    found, token = [], ""
    while True:
        page = admin.get("/v1/keys", params={"page_size": 2, "page_token": token}).json()
        found += [one["id"] for one in page["items"]]
        token = page["next_page_token"]
        if not token:
            break
    assert len(found) == len({*found})
    assert found[:3] == made[::-1]


@pytest.mark.parametrize(
    ("change_", "pointer"),
    [
        ({"scopes": ["jobs:fly"]}, "/scopes/0"),
        ({"scopes": ["public"]}, "/scopes/0"),
        ({"scopes": ["any"]}, "/scopes/0"),
        ({"scopes": []}, "/scopes"),
        ({"owner": ""}, "/owner"),
        ({"owner": "a\nb"}, "/owner"),
        ({"name": "\0"}, "/name"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
        ({"key": "raiw_mine"}, "/key"),
    ],
)
def test_what_cannot_be_a_key_is_refused_by_pointer(admin, change_, pointer):
    body = {"owner": "x", "scopes": ["jobs:read"]} | change_
    answer = admin.post("/v1/keys", json=body)
    assert answer.status_code == 422
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]], answer.text


def test_keys_that_are_none_are_refused_and_never_repeated(guarded, caplog):
    key = make_key(guarded, "typist").key
    other = make_key(guarded, "typist").key
    mixed = other[:18] + key[18:]
    with caplog.at_level(logging.DEBUG):
        for wrong, words in (
            (key[:-1], "checksum"),
            (key[:30] + ("a" if key[30] != "a" else "b") + key[31:], "checksum"),
            (mixed, "checksum"),
            ("raiw_", "checksum"),
            ("raiw_" + "ü" * 62, "checksum"),
            (make_key_unknown(), "unknown"),
            (TOKEN[:-1], "RAIW_TOKEN"),
        ):
            with calling(guarded, None) as client:
                given = f"Bearer {wrong}".encode("latin-1")
                answer = client.get("/v1/jobs", headers={"Authorization": given})
            assert_problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert words in answer.json()["detail"]
            assert wrong[5:] == "" or wrong[10:] not in answer.text
        assert whoami(guarded, key).status_code == 200
    assert key[18:] not in caplog.text


def make_key_unknown() -> str:
    from service.contract.keys import new_key

    return new_key()[1]


def test_the_secret_of_another_key_does_not_open(guarded):
    """The checksum is right, the id is known, and the secret is that of another key."""
    from service.contract.keys import _checksum

    one, two = make_key(guarded, "one").key, make_key(guarded, "two").key
    forged = one[:18] + two[18:-6]
    answer = whoami(guarded, forged + _checksum(forged))
    assert answer.status_code == 401
    assert "unknown" in answer.json()["detail"]


def test_a_revoked_key_is_refused_at_once_and_elsewhere_soon(guarded, admin):
    made = make_key(guarded, "leaver")
    folder = guarded.services.settings.state_dir
    other = start_server(folder, token=TOKEN, key_cache_seconds=0.2)
    try:
        assert whoami(guarded, made.key).status_code == 200
        assert whoami(other, made.key).status_code == 200
        for _ in range(2):
            assert admin.delete(f"/v1/keys/{made.id}").status_code == 204
        answer = whoami(guarded, made.key)
        assert_problem(answer, 401, "unauthorized")
        assert "revoked" in answer.json()["detail"]
        eventually(lambda: whoami(other, made.key).status_code == 401)
    finally:
        other.stop()
    assert admin.get(f"/v1/keys/{made.id}").json()["revoked_at"] is not None
    assert_problem(admin.delete(f"/v1/keys/{'0' * 12}"), 404, "not-found")


def test_who_waits_with_a_key_that_ends_waits_no_longer(guarded, admin):
    """The job stays queued: nobody works here."""
    made = make_key(guarded, "watcher")
    with calling(guarded, made.key) as client, ThreadPoolExecutor(2) as beside:
        job = client.post("/v1/jobs", json={"spec": SPEC}).json()
        url = job["urls"]["self"]
        stream = beside.submit(client.get, f"{url}/events", headers={"Accept": SSE})
        wait = beside.submit(client.get, url, headers={"Prefer": "wait=30"})
        eventually(lambda: guarded.app.state.watcher.looks)
        assert not wait.done()
        admin.delete(f"/v1/keys/{made.id}")
        assert_problem(wait.result(), 401, "unauthorized")
        assert "revoked" in wait.result().json()["detail"]
        assert stream.result().status_code == 200
        assert '"queued"' in stream.result().text
        assert_problem(client.get(url), 401, "unauthorized")


def test_a_key_ends_when_its_time_is_over(guarded):
    made = make_key(guarded, "guest")
    assert whoami(guarded, made.key).status_code == 200
    change(guarded, made.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    guarded.app.state.keys.forget(made.id)
    answer = whoami(guarded, made.key)
    assert_problem(answer, 401, "unauthorized")
    assert "expired" in answer.json()["detail"]


def test_a_rotated_key_may_do_the_same_and_ends_the_old_one(guarded, admin):
    old = make_key(guarded, "rotating", "jobs:read")
    path = f"/v1/keys/{old.id}/rotate"
    new = admin.post(path, json={"overlap_seconds": 3600}).json()
    assert (new["owner"], new["scopes"], new["replaces"]) == ("rotating", ["jobs:read"], old.id)
    assert whoami(guarded, old.key).status_code == whoami(guarded, new["key"]).status_code == 200
    newest = admin.post(path, json={}).json()
    assert whoami(guarded, old.key).status_code == 401
    assert whoami(guarded, newest["key"]).status_code == 200
    assert_problem(admin.post(path, json={}), 422, "invalid-input")
    assert_problem(admin.post(f"/v1/keys/{'0' * 12}/rotate", json={}), 404, "not-found")


def test_the_database_is_not_asked_about_a_key_at_every_request(start):
    server = start(require_keys=True, key_cache_seconds=300)
    made = make_key(server, "busy")
    said: list[str] = []
    event.listen(
        server.services.database.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, *_: said.append(statement) if " keys" in statement else None,
    )
    with calling(server, made.key) as client:
        for _ in range(50):
            assert client.get("/v1/whoami").status_code == 200
        assert len(said) == 2, said  # found once, its use noted once
        wrong = make_key_unknown()
        for _ in range(50):
            client.get("/v1/whoami", headers={"Authorization": f"Bearer {wrong}"})
    assert len(said) == 3, said


def test_servers_of_one_database_need_one_secret(guarded, start, caplog):
    made = make_key(guarded, "moving")
    state = guarded.services.settings.state_dir
    url = f"sqlite:///{state / 'raiw.sqlite'}"
    none = start(database_url=url, token=TOKEN)
    assert "RAIW_KEY_SECRET" in whoami(none, made.key).json()["detail"]
    with calling(none, TOKEN) as client:
        refused = client.post("/v1/keys", json={"owner": "x", "scopes": ["jobs:read"]})
    assert_problem(refused, 422, "invalid-settings")
    other = start(database_url=url, require_keys=True, key_secret="o" * 32)
    assert whoami(other, made.key).status_code == 401
    assert "RAIW_KEY_SECRET" in caplog.text
    secret = (state / "key.secret").read_text()
    assert (state / "key.secret").stat().st_mode & 0o777 == 0o600
    same = start(database_url=url, require_keys=True, key_secret=secret)
    assert whoami(same, made.key).status_code == 200


def test_a_server_without_keys_serves_whoever_shows_none_and_checks_those_that_are_shown(server):
    made = make_key(server, "guest")
    assert whoami(server, made.key).json()["owner"] == "guest"
    with calling(server, None) as client:
        assert client.get("/v1/whoami").json()["owner"] == LOCAL
        assert client.get("/v1/jobs").json()["items"] == []
    assert whoami(server, "the token of another server").json()["owner"] == LOCAL
    assert whoami(server, make_key_unknown()).status_code == 401


def test_pages_are_signed_in_to_with_a_key(guarded, admin):
    made = make_key(guarded, "reader", "jobs:read", "masks:read")
    with calling(guarded, None, Accept="text/html") as browser:
        refused = browser.post("/login", data={"token": make_key_unknown()})
        assert refused.status_code == 403
        assert "unknown" in refused.text
        assert "set-cookie" not in refused.headers
        signed = browser.post("/login", data={"token": f" {made.key}\n"})
        assert made.key[18:] not in signed.headers["set-cookie"]
        assert browser.get("/").status_code == 200
        assert "Signed in as reader" in browser.get("/").text
        assert 'href="/system"' not in browser.get("/").text
        assert browser.get("/system").status_code == 403
        assert browser.get("/v1/jobs").status_code == 200
        assert browser.post("/jobs/job_x/cancel").status_code == 403
        admin.delete(f"/v1/keys/{made.id}")
        assert browser.get("/").headers["location"].startswith("/login")
        browser.cookies.clear()
        browser.cookies.set("raiw_session", f"{made.id}.{'0' * 64}")
        assert browser.get("/").status_code == 303
