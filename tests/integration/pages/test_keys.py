"""The page of keys: who may see it, and that what it makes, replaces and ends is a key."""

import httpx
import pytest

from service.contract.keys import KEY
from tests.integration.api.owners import make_key
from tests.integration.api.servers import start_server
from tests.integration.pages.checking import BROWSER, links, page, words


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("state"), token="a token of sixteen or more")
    yield server
    server.stop()


@pytest.fixture
def signing_in(guarded):
    """Return a function that signs in a browser with a key."""
    opened = []

    def sign_in(key: str) -> httpx.Client:
        browser = httpx.Client(base_url=guarded.url, headers=BROWSER, timeout=240)
        opened.append(browser)
        assert browser.post("/login", data={"token": key}).status_code == 303
        return browser

    yield sign_in
    for browser in opened:
        browser.close()


def status_with(server, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{server.url}/v1/whoami", headers=headers).status_code


def test_a_key_is_made_shown_once_rotated_and_revoked(guarded, signing_in):
    admin = signing_in(make_key(guarded, "admin").key)
    assert "/keys" in links(page(admin.get("/")))
    form = {"owner": "ci", "name": "<nightly>", "scope": ["jobs:read", "masks:read"], "days": "90"}
    answer = admin.post("/keys", data=form)
    assert answer.headers["cache-control"] == "no-store"
    made = KEY.search(words(page(answer)))
    assert status_with(guarded, made[0]) == 200
    caller = httpx.get(f"{guarded.url}/v1/whoami", headers={"Authorization": f"Bearer {made[0]}"})
    assert caller.json() | {"key_id": ""} == {
        "owner": "ci",
        "key_id": "",
        "scopes": ["jobs:read", "masks:read"],
    }
    shown = words(page(admin.get("/keys")))
    assert "<nightly>" in shown
    assert "ends in 90 d" in shown or "ends in 89 d" in shown
    assert not KEY.search(shown)

    rotated = page(admin.post(f"/keys/{made[1]}/rotate", data={"overlap_hours": "0", "days": ""}))
    other = KEY.search(words(rotated))
    assert rotated.find(".//input[@name='next']").get("value") == "/keys"  # where colours lead
    assert (status_with(guarded, made[0]), status_with(guarded, other[0])) == (401, 200)
    assert admin.post(f"/keys/{other[1]}/revoke").headers["location"] == "/keys"
    assert status_with(guarded, other[0]) == 401
    assert "revoked" in words(page(admin.get("/keys")))
    page(admin.post(f"/keys/{other[1]}/rotate"), 422)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"owner": ""}, "owner"),
        ({"owner": "a b"}, "owner"),
        ({"scope": []}, "scope"),
        ({"scope": ["everything"]}, "scope"),
        ({"days": "0"}, "days"),
        ({"days": "soon"}, "days"),
        ({"days": "9" * 9}, "days"),
    ],
)
def test_a_form_that_is_wrong_makes_no_key(guarded, signing_in, wrong, named):
    admin = signing_in(make_key(guarded, "admin").key)
    form = {"owner": "nobody-yet", "scope": ["jobs:read"], "days": "1"} | wrong
    assert named in words(page(admin.post("/keys", data=form), 422))
    assert "nobody-yet" not in words(page(admin.get("/keys")))


def test_only_who_may_administer_keys_sees_and_uses_the_page(guarded, signing_in):
    victim = make_key(guarded, "victim")
    reader = signing_in(make_key(guarded, "reader", "jobs:read", "system:read").key)
    assert "/keys" not in links(page(reader.get("/")))
    page(reader.get("/keys"), 403)
    page(reader.post("/keys", data={"owner": "reader", "scope": ["keys:admin"]}), 403)
    for act in ("rotate", "revoke"):
        page(reader.post(f"/keys/{victim.id}/{act}"), 403)
    assert status_with(guarded, victim.key) == 200


def test_owners_are_shown_with_what_they_may_have(guarded, signing_in):
    admin = signing_in(make_key(guarded, "admin").key)
    owners = page(admin.get("/keys")).find(".//section[@aria-labelledby='owners']")
    rows = {row[0].text: [*row.itertext()] for row in owners.iter("tr") if row[0].get("scope")}
    assert "0" in rows["admin"]
    assert "no limit" in rows["admin"]
