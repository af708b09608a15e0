"""Downloads of masks: one range is arithmetic on the stored bytes, wherever they are kept."""

import base64
import hashlib

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

import raiw
from service.api.downloads import parse_range
from service.contract.access import LOCAL
from service.store import masks as stored_masks
from tests.integration.api.servers import assert_problem

SPEC = {
    "layers": [
        {"name": "big", "kind": "linear", "in_features": 4096, "out_features": 4096},
        {"name": "odd", "kind": "linear", "in_features": 13, "out_features": 26},
    ],
    "craft": {"degree": 4},
}
CRAFTED = raiw.craft(SPEC)
FILE = CRAFTED.to_bytes()
URL = f"/v1/masks/{CRAFTED.digest}"


@pytest.fixture(scope="module", params=["chunk rows", "artifact"])
def stored(request, start):
    """The same masks in the database (three chunks) and in the artifact folder."""
    server = start(masks_in_database_bytes=(1 << 30) * (request.param == "chunk rows"))
    services = server.services
    for _ in range(2):  # storing twice is once
        with services.database.write() as session:
            stored_masks.add(
                session,
                services.artifacts,
                owner=LOCAL,
                digest=CRAFTED.digest,
                file=FILE,
                document=CRAFTED.to_json(),
                in_database_bytes=services.settings.masks_in_database_bytes,
                now=services.database.now(session),
            )
    assert services.artifacts.has(f"sha256:{hashlib.sha256(FILE).hexdigest()}") == (
        request.param == "artifact"
    )
    with httpx.Client(base_url=server.url, timeout=240) as client:
        yield client


def ask(http: httpx.Client, **headers: str) -> httpx.Response:
    return http.get(f"{URL}/file", headers={key.replace("_", "-"): v for key, v in headers.items()})


def test_the_whole_file(stored):
    assert len(FILE) > 2 << 20
    answer = ask(stored)
    sha256 = hashlib.sha256(FILE)
    assert answer.status_code == 200
    assert answer.content == FILE
    assert answer.headers["etag"] == f'"{sha256.hexdigest()}"'
    assert answer.headers["repr-digest"] == (
        f"sha-256=:{base64.b64encode(sha256.digest()).decode()}:"
    )
    assert answer.headers["content-length"] == str(len(FILE))
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = stored.head(f"{URL}/file")
    assert head.content == b""
    for name in ("etag", "content-length", "repr-digest", "accept-ranges"):
        assert head.headers[name] == answer.headers[name]
    assert raiw.load(answer.content) == CRAFTED


EDGES = [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) - 1, 2 << 20, len(FILE) - 1]


@pytest.mark.parametrize("first", EDGES)
@pytest.mark.parametrize("last", [*EDGES, len(FILE), 10**17])
def test_a_range_is_a_slice(stored, first, last):
    answer = ask(stored, Range=f"bytes={first}-{last}")
    if last < first:
        assert (answer.status_code, len(answer.content)) == (200, len(FILE))
        return
    assert answer.status_code == 206
    assert answer.content == FILE[first : last + 1]
    stop = min(last + 1, len(FILE))
    assert answer.headers["content-range"] == f"bytes {first}-{stop - 1}/{len(FILE)}"
    assert "repr-digest" in answer.headers


@pytest.mark.parametrize("count", [1, 17, 1 << 20, len(FILE), len(FILE) + 5])
def test_a_suffix_is_the_end(stored, count):
    assert ask(stored, Range=f"bytes=-{count}").content == FILE[-count:]


@pytest.mark.parametrize("wish", [f"bytes={len(FILE)}-", f"bytes={10**17}-", "bytes=-0"])
def test_a_range_behind_the_end_is_416(stored, wish):
    answer = ask(stored, Range=wish)
    assert_problem(answer, 416, "range-not-satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(FILE)}"


@pytest.mark.parametrize(
    "wish",
    ["bytes=0-1,5-6", "bytes=", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=5", "0-1",
     "bytes=" + "9" * 5000 + "-", "bytes=1-" + "9" * 5000],
)  # fmt: skip
def test_an_odd_range_is_ignored(stored, wish):
    answer = ask(stored, Range=wish)
    assert (answer.status_code, len(answer.content)) == (200, len(FILE))


@given(st.integers(1, 100), st.integers(0, 120), st.integers(0, 120))
def test_range_arithmetic_is_slicing(size, first, last):
    data = bytes(range(size))
    if first >= size and last >= first:
        with pytest.raises(HTTPException):
            parse_range(f"bytes={first}-{last}", size)
    elif last < first:
        assert parse_range(f"bytes={first}-{last}", size) is None
    else:
        start, stop = parse_range(f"bytes={first}-{last}", size)
        assert data[start:stop] == data[first : last + 1]
    if last:
        start, stop = parse_range(f"bytes=-{last}", size)
        assert data[start:stop] == data[-last:]


def test_validators(stored):
    etag = ask(stored).headers["etag"]
    for wish in (etag, "*", f'"x", {etag}', f"W/{etag}"):
        unchanged = ask(stored, If_None_Match=wish)
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == etag
    assert ask(stored, If_None_Match='"x"').status_code == 200
    part = {"Range": "bytes=0-9"}
    assert ask(stored, If_Range=etag, **part).status_code == 206
    for other in ('"x"', f"W/{etag}", "Sat, 21 Nov 2026 00:00:00 GMT"):
        assert ask(stored, If_Range=other, **part).status_code == 200


def test_a_view_and_its_layers(stored):
    view = stored.get(URL).json()
    assert view["digest"] == CRAFTED.digest
    assert view["bytes"] == len(FILE)
    assert view["statistics"] is None
    assert [layer["name"] for layer in view["document"]["layers"]] == ["big", "odd"]
    for name, mask in CRAFTED.items():
        facts = stored.get(f"{URL}/layers/{name}").json()
        assert facts["requested"] == mask.requested
        raw = {"Accept": "application/octet-stream"}
        rows = stored.get(f"{URL}/layers/{name}", headers=raw)
        width = -(-mask.shape[1] // 8)
        packed = np.frombuffer(rows.content, np.uint8).reshape(mask.shape[0], width)
        bits = np.unpackbits(packed, axis=1, bitorder="little")[:, : mask.shape[1]]
        assert (bits == mask.numpy()).all()
        part = stored.get(f"{URL}/layers/{name}", headers=raw | {"Range": "bytes=3-7"})
        assert part.content == rows.content[3:8]
    assert_problem(stored.get(f"{URL}/layers/none"), 404, "not-found")
