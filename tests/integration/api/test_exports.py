"""Exports through REST: the bytes of ``raiw export``, whole or a range, without their weight."""

import hashlib
import json
import resource
import sys
from base64 import b64encode

import httpx
import pytest

import raiw
from raiw.cli import exits
from raiw.cli.app import run
from raiw.errors import NotFound
from raiw.forms import FORMS
from raiw.masks.export import parts
from service.contract.access import LOCAL
from service.jobs import exports
from service.store import masks as stored_masks
from tests.integration.api.servers import Server, assert_problem

MASKS = raiw.craft(
    {
        "layers": [
            {"name": "wide", "kind": "linear", "in_features": 2048, "out_features": 1536},
            {"name": "fc", "kind": "linear", "in_features": 30, "out_features": 7},
            {
                "name": "up",
                "kind": "conv_transpose2d",
                "in_channels": 8,
                "out_channels": 12,
                "kernel_size": 3,
                "groups": 2,
            },
        ],
        "craft": {"degree": 4},
    }
)
URL = f"/v1/masks/{MASKS.digest}/file"


def store(server: Server, masks: raiw.MaskSet) -> None:
    services = server.services
    with services.database.write() as session:
        stored_masks.add(
            session,
            services.artifacts,
            owner=LOCAL,
            digest=masks.digest,
            file=masks.to_bytes(),
            document=masks.to_json(),
            in_database_bytes=services.settings.masks_in_database_bytes,
            now=services.database.now(session),
        )


@pytest.fixture(scope="module", params=["chunk rows", "artifact"])
def stored(request, start):
    server = start(masks_in_database_bytes=(1 << 30) * (request.param == "chunk rows"))
    store(server, MASKS)
    with httpx.Client(base_url=server.url, timeout=240) as client:
        yield client
    assert [*server.services.artifacts._root.glob("partial/*")] == []


def ask(http: httpx.Client, form: str, **headers: str) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return http.get(URL, params={"format": form}, headers=named)


@pytest.fixture(params=FORMS)
def form(request) -> str:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


def test_an_export_is_what_the_command_writes(stored, form, tmp_path):
    (tmp_path / "masks").write_bytes(MASKS.to_bytes())
    assert run(["export", str(tmp_path / "masks"), "--to", form, "-o", str(tmp_path / "made")]) == 0
    written = (tmp_path / "made").read_bytes()
    answer = ask(stored, form)
    assert answer.status_code == 200
    assert answer.content == written
    assert answer.headers["content-length"] == str(len(written))
    assert answer.headers["content-type"] == FORMS[form].media_type
    assert answer.headers["content-disposition"].endswith(f'.{FORMS[form].suffix}"')
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    if not FORMS[form].sized:
        sha256 = b64encode(hashlib.sha256(written).digest()).decode()
        assert answer.headers["repr-digest"] == f"sha-256=:{sha256}:"
    head = stored.head(URL, params={"format": form})
    for name in ("etag", "content-length", "content-type", "accept-ranges"):
        assert head.headers[name] == answer.headers[name]


def test_a_range_of_an_export_is_a_slice(stored, form):
    whole = b"".join(bytes(part.read()) for part in parts(MASKS, form))
    etag = stored.head(URL, params={"format": form}).headers["etag"]
    edges = {0, 1, 7, len(whole) // 2, len(whole) - 1}
    for first in edges:
        for last in edges | {len(whole) + 9}:
            if last >= first:
                answer = ask(stored, form, Range=f"bytes={first}-{last}", If_Range=etag)
                assert answer.status_code == 206
                assert answer.content == whole[first : last + 1]
                stop = min(last + 1, len(whole))
                assert answer.headers["content-range"] == f"bytes {first}-{stop - 1}/{len(whole)}"
    behind = ask(stored, form, Range=f"bytes={len(whole)}-")
    assert_problem(behind, 416, "range-not-satisfiable")
    assert ask(stored, form, If_None_Match=etag).status_code == 304


def test_every_form_has_a_strong_validator_of_its_own(stored):
    etags = {stored.head(URL, params={"format": form}).headers["etag"] for form in FORMS}
    etags.add(stored.head(URL).headers["etag"])
    assert len(etags) == len(FORMS) + 1
    assert not any(etag.startswith("W/") for etag in etags)


def test_client_and_command_write_the_same_by_a_short_digest(stored, form, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url, short = str(stored.base_url).rstrip("/"), MASKS.digest[:16]
    with raiw.Client(url) as client:
        assert client.full_digest(short) == MASKS.digest
        client.download(MASKS.digest, tmp_path / "a", form)
    told = ["--to", form, "-o", str(tmp_path / "b"), "--server", url]
    assert run(["export", short, *told]) == 0
    served = ask(stored, form).content
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == served


def test_a_short_digest_that_nothing_has(stored, tmp_path, capsys):
    told = ["--to", "npz", "-o", str(tmp_path / "x"), "--server", str(stored.base_url)]
    assert run(["export", "sha256:000000000", *told]) == exits.STATUS[NotFound]
    assert "sha256:000000000" in capsys.readouterr().err
    assert_problem(stored.get("/v1/masks", params={"digest": "%"}), 422, "invalid-input")


@pytest.mark.parametrize("wrong", ["npy", "", "raiw", "NPZ", "x" * 1000, "%00"])
def test_an_unknown_form_is_refused_with_those_there_are(stored, wrong):
    answer = ask(stored, wrong)
    assert_problem(answer, 422, "invalid-input")
    assert all(form in answer.text for form in FORMS)
    assert len(answer.text) < 2000


def test_what_would_take_long_is_refused_and_what_is_sized_is_not(stored, monkeypatch):
    monkeypatch.setattr(exports, "MAX_ENCODED_CELLS", 1000)
    refused = ask(stored, "npz")
    assert_problem(refused, 413, "too-large")
    assert "raiw export" in refused.json()["detail"]
    assert ask(stored, "bool").status_code == 200


def test_a_form_that_the_server_lacks_a_package_for(stored, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert_problem(ask(stored, "parquet"), 501, "missing-extra")


def test_listed_edges_are_limited(stored, monkeypatch):
    monkeypatch.setattr("raiw.masks.export.MAX_LISTED_EDGES", 10)
    assert_problem(ask(stored, "json"), 413, "too-large")
    monkeypatch.undo()
    assert json.loads(ask(stored, "json").content)["digest"] == MASKS.digest


def test_the_end_of_a_large_export_costs_no_memory(server):
    layer = {"name": "fc", "kind": "linear", "in_features": 16384, "out_features": 16384}
    masks = raiw.craft({"layers": [layer], "craft": {"degree": 2}})
    store(server, masks)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with httpx.Client(base_url=server.url, timeout=240) as http:
        end = http.get(
            f"/v1/masks/{masks.digest}/file?format=torch-prune", headers={"Range": "bytes=-4"}
        )
    assert end.status_code == 206
    assert int(end.headers["content-range"].rpartition("/")[2]) > 1 << 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10
