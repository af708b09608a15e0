"""Pages of real servers: each valid, strict about what it loads, and of use without scripts."""

import base64
import hashlib
import io
import struct
from importlib.resources import files

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from tests.integration.api.servers import start_server
from tests.integration.pages.checking import BROWSER, links, page, words
from tests.integration.pages.conftest import HOSTILE, LAYERS

EMPTY = ["/", "/masks", "/compare", "/new", "/networks", "/system", "/keys", "/docs"]
EMPTY += ["/?page_token="]
NOTHING = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A server with an empty database, and a browser on it."""
    server = start_server(tmp_path_factory.mktemp("state"))
    with httpx.Client(base_url=server.url, headers=BROWSER, timeout=240) as browser:
        yield browser
    server.stop()


@pytest.fixture
def browser(full):
    with httpx.Client(base_url=full.stack.url, headers=BROWSER, timeout=240) as client:
        yield client


@pytest.mark.parametrize("path", EMPTY)
def test_pages_of_an_empty_server(bare, path):
    assert words(page(bare.get(path))).startswith("Skip to the content raiw Jobs Masks")


def test_pages_of_a_full_server_escape_what_others_wrote(full, browser):
    for path in full.paths:
        answer = browser.get(path)
        page(answer)
        assert "<script>alert" not in answer.text, path
    shown = words(page(browser.get(f"/jobs/{full.job}")))
    assert shown.count(HOSTILE) >= 3  # its name, its note, and the request
    failed = full.stack.job(full.failed)["error"]
    assert failed["detail"] in words(page(browser.get(f"/jobs/{full.failed}")))


def test_the_api_answers_browsers_as_it_answers_programs(full, browser):
    program = full.stack.http
    for path in ("/v1/jobs?page_size=1", f"/v1/masks/{full.other}", "/v1/nosuch", "/openapi.json"):
        mine, theirs = browser.get(path), program.get(path)
        if mine.status_code == 200:
            assert mine.content == theirs.content
        assert mine.headers["content-type"] == theirs.headers["content-type"]
        assert mine.status_code == theirs.status_code
    for path in ("/", "/masks", "/docs", f"/jobs/{full.job}"):
        answer = program.get(path)  # Accept: */*
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert program.post("/new").status_code == 404


def test_what_does_not_exist_is_a_page_that_says_so(full, browser):
    for path in (
        "/nosuch",
        "/jobs/job_nosuch",
        "/jobs/%3Cscript%3E",
        f"/masks/{NOTHING}",
        "/masks/sha256:1",
        f"/masks/{full.masks}/layers/nosuch",
        f"/pages/pictures/{full.masks}/fc1/nosuch.svg",
        "/pages/static/../app.py",
        "/new?model=nosuch",
    ):
        answer = browser.get(path)
        page(answer, 404)
        assert answer.headers["x-request-id"] in answer.text
    for query in ("mode=odd", "rows=5-2", "rows=0-999", "columns=a-b", "rows=-1-4"):
        answer = browser.get(f"/masks/{full.masks}/layers/fc1?{query}")
        page(answer, 422)
    page(browser.get("/?page_token=odd"), 422)
    refused = browser.delete("/masks")
    page(refused, 405)
    assert refused.headers["allow"] == "GET"


def test_a_page_is_asked_for_by_its_head(full, browser):
    for path in ("/", f"/masks/{full.masks}/layers/fc1", f"/pages/tiles/{full.masks}/fc1"):
        asked, got = browser.head(path), browser.get(path)
        assert (asked.status_code, asked.content) == (200, b"")
        assert asked.headers["content-type"] == got.headers["content-type"]
    assert browser.head("/nosuch").status_code == 404


def test_a_spec_is_planned_corrected_and_crafted_without_scripts(full, browser):
    wrong = "name: x\nlayers:\n- name: fc\n  kind: linear\n  in_features: -3\ncraft: {degree: 4}\n"
    told = words(page(browser.post("/new", data={"spec": wrong, "do": "craft"})))
    assert "line 5 /layers/0/in_features" in told
    assert "/layers/0/out_features" in told
    broken = page(browser.post("/new", data={"spec": "{a: [", "do": "craft"}))
    assert "cannot be read" in words(broken)
    spec = "layers:\n- {name: fc, kind: linear, in_features: 32, out_features: 32}\n"
    form = {"spec": spec + "craft: {degree: 3}\n", "note": HOSTILE}
    planned = words(page(browser.post("/new", data=form | {"do": "plan"})))
    assert "96" in planned
    assert "regular" in planned
    answer = browser.post("/new", data=form | {"do": "craft"})
    assert answer.status_code == 303
    path = answer.headers["location"]
    job = full.stack.wait(path.removeprefix("/jobs/"))
    assert job["metadata"] == {"note": HOSTILE}
    assert f"/masks/{job['result']['digest']}" in links(page(browser.get(path)))


def test_a_field_that_is_too_long_is_told_by_its_size(full, browser):
    long = {"spec": "#" * ((1 << 20) + 1), "do": "plan"}
    for sent in ({"data": long}, {"files": {name: (None, text) for name, text in long.items()}}):
        assert browser.post("/new", **sent).status_code == 413
        assert browser.post("/pages/plan", **sent).status_code == 413


def test_who_refuses_html_gets_none(full, browser):
    for accept, kind in (("text/html;q=0, */*", "json"), ("*/*, TEXT/HTML ;q=0.1", "html")):
        answer = browser.get("/masks/nothing", headers={"Accept": accept})
        assert kind in answer.headers["content-type"]


def test_scores_are_stored_by_a_form_and_named_by_their_digest(full, browser):
    scores = save({"fc1": np.ones((64, 96), np.float32), "conv": np.eye(16, 8, dtype=np.float32)})
    spec = f"layers: {LAYERS}\ncraft: {{degree: 4}}\n"
    digest = f"sha256:{hashlib.sha256(scores).hexdigest()}"
    file = {"scores": ("scores.safetensors", io.BytesIO(scores))}
    shown = browser.post("/new", data={"spec": spec, "do": "plan"}, files=file)
    assert digest in shown.text
    assert " raiw " in words(page(shown))  # the algorithm that takes scores
    assert full.stack.http.head(f"/v1/blobs/{digest}").status_code == 200
    stored = browser.post("/pages/scores", files={"scores": ("a", io.BytesIO(scores))})
    assert stored.json() == {"digest": digest, "bytes": len(scores)}
    for content in (b"", b"no safetensors file at all"):
        refused = browser.post("/pages/scores", files={"scores": ("a", io.BytesIO(content))})
        assert refused.status_code == 422
        assert refused.json()["problem"]
    wrong = {"scores": ("a", io.BytesIO(b"no safetensors file at all"))}
    told = words(page(browser.post("/new", data={"spec": spec, "do": "craft"}, files=wrong)))
    assert "the scores:" in told


def test_jobs_are_canceled_and_asked_for_again_by_forms(full, browser):
    stack = full.stack
    stack.stop_workers()
    spec = {"name": "to-cancel", "layers": LAYERS, "craft": {"degree": 5}}
    job = stack.submit(spec, metadata={"k": "v"}).json()
    path = f"/jobs/{job['id']}"
    assert "No worker has it yet" in words(page(browser.get(path)))
    assert browser.post(f"{path}/cancel").headers["location"] == path
    assert stack.job(job["id"])["status"] == "canceled"
    assert "Canceled by python-httpx" in words(page(browser.get(path)))
    assert browser.post(f"{path}/cancel").status_code == 303  # it stays as it is
    again = browser.post(f"{path}/retry").headers["location"]
    assert again != path
    retried = stack.job(again.removeprefix("/jobs/"))
    assert retried["spec"] == job["spec"]
    assert retried["content_key"] == job["content_key"]
    assert retried["metadata"] == {"k": "v"}
    stack.start_worker()
    stack.wait(retried["id"])
    assert "to-cancel" in words(page(browser.get("/?text=to-cancel&status=canceled")))
    for body in (f"{path}/request.json", f"{again}/spec.yaml"):
        assert "to-cancel" in browser.get(body).text


def test_masks_are_measured_pinned_and_removed_by_forms(full, browser):
    stack, path = full.stack, f"/masks/{full.masks}"
    assert browser.post(f"{path}/measure").status_code == 303
    url = f"/v1/masks/{full.masks}/statistics"
    while stack.http.get(url, headers={"Prefer": "wait=30"}).status_code == 202:
        pass
    assert "of random" in words(page(browser.get(path)))
    layer = words(page(browser.get(f"{path}/layers/fc1")))
    assert "Entropy S" in layer
    browser.post(f"{path}/pin")
    assert stack.http.get(f"/v1{path}").json()["pinned"]
    page(browser.post(f"{path}/remove"), 409)
    browser.post(f"{path}/pin")
    spec = {"layers": LAYERS, "craft": {"degree": 7}}
    extra = stack.wait(stack.submit(spec).json()["id"])["result"]["digest"]
    assert browser.post(f"/masks/{extra}/remove").headers["location"] == "/masks"
    page(browser.get(f"/masks/{extra}"), 404)


def test_tiles_are_the_edges_of_their_window(full, browser):
    mask = full.stack.client.masks(full.masks)["fc1"]
    kept = mask.numpy()
    url = f"/pages/tiles/{full.masks}/fc1"
    whole = browser.get(url).json()
    assert np.sum(whole["counts"]) == mask.edges
    assert whole["image"].startswith("data:image/png;base64,")
    for mode, side in (("density", 1), ("deviation", 4)):
        part = browser.get(url, params={"mode": mode, "rows": "8-24", "columns": "30-62"})
        assert part.headers["cache-control"].endswith("immutable")
        found = part.json()
        assert found["side"] == side  # so few edges tell nothing of their chance one by one
        blocks = kept[8:24, 30:62].reshape(16 // side, side, 32 // side, side)
        assert np.array_equal(found["counts"], blocks.sum(axis=(1, 3)))
        drawn = base64.b64decode(found["image"].partition(",")[2])
        assert struct.unpack(">II", drawn[16:24]) == (32 // side, 16 // side)
        assert found["caption"].startswith(f"a dot is {'one' if side == 1 else f'{side} × {side}'}")
    bits = browser.get(f"/pages/bits/{full.masks}/fc1").content
    assert bits == mask.packed.tobytes()
    for what in ("density", "deviation", "thumbnail", "outputs", "inputs", "spectrum"):
        picture = browser.get(f"/pages/pictures/{full.masks}/fc1/{what}.svg")
        assert picture.headers["content-type"] == "image/svg+xml"
        assert "script-src" not in picture.headers["content-security-policy"]


def test_two_sets_of_masks_are_compared_layer_by_layer(full, browser):
    client = full.stack.client
    difference = client.masks(full.masks).diff(client.masks(full.other))
    shown = words(page(browser.get(f"/compare?a={full.masks}&b={full.other}")))
    for layer in difference.layers:
        assert f"{layer.name} {layer.shared:,} {layer.only_a:,} {layer.only_b:,}" in shown
    spec = {"layers": [{**LAYERS[0], "name": "lonely"}], "craft": {"degree": 4}}
    lonely = full.stack.wait(full.stack.submit(spec).json()["id"])["result"]["digest"]
    told = words(page(browser.get(f"/compare?a={full.masks}&b={lonely}")))
    assert "No layer of A has the name" in told
    assert "Jaccard –" in told
    same = words(page(browser.get(f"/compare?a={full.masks}&b={full.masks}")))
    assert "The same masks" in same
    ticked = browser.get(f"/compare?digest={full.masks}&digest={full.other}")
    assert ticked.headers["location"] == f"/compare?a={full.masks}&b={full.other}"
    page(browser.get(f"/compare?digest={full.masks}"), 422)


def test_jobs_are_found_by_text_and_read_page_by_page(bare):
    for seed in range(60):
        spec = {"name": f"net_{seed}%", "layers": LAYERS, "craft": {"degree": 4, "seed": seed}}
        bare.post("/v1/jobs", json={"spec": spec, "metadata": {"commit": f"c{seed:04}e"}})
    first = page(bare.get("/?text=NET_"))
    assert "net_59%" in words(first)
    (older,) = [link for link in links(first) if "page_token" in link]
    assert "net_0%" in words(page(bare.get(older)))
    page(bare.get(older.replace("NET_", "net")), 422)  # a token of another list
    assert "net_17%" in words(page(bare.get("/?text=C0017E&kind=craft&status=queued")))
    for text in ("net_5%9", "C0017E&kind=train", "C0017E&status=failed", "%25%25", "net%5F%5F"):
        assert "No job fits" in words(page(bare.get(f"/?text={text}")))


def test_files_never_change_under_their_address(bare):
    tree = page(bare.get("/docs"))
    assets = [element.get("src") or element.get("href") for element in tree.find("head")]
    for asset in filter(None, assets):
        answer = bare.get(asset, headers={"Accept": "*/*"})
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        digest = hashlib.sha256(answer.content).hexdigest()
        assert asset.endswith(f"?v={digest[:12]}")


def test_vendored_files_are_those_that_were_published():
    folder = files("service.pages") / "static" / "vendor" / "swagger-ui"
    _, *lines = (folder / "VENDORED.txt").read_text("utf-8").splitlines()
    assert len(lines) == len([*folder.iterdir()]) - 1
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
