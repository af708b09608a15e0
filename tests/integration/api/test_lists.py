"""Lists are filtered, paged, light and compressed; callers of a job are told apart."""

import gzip
from typing import Any

import httpx
import pytest
import zstandard

from raiw import catalogue
from service.api.compression import MIN_BYTES
from service.contract.jobs import JobStatus
from service.store import jobs
from service.store.tables import JobRow
from tests.integration.api.servers import SPEC, Server, assert_problem, store


def submit(http: httpx.Client, seed: int, **body: Any) -> dict[str, Any]:
    spec = SPEC | {"craft": {"degree": 4, "seed": seed}}
    answer = http.post("/v1/jobs", json={"spec": spec, **body})
    assert answer.is_success, answer.text
    return answer.json()


def ids(http: httpx.Client, **query: Any) -> list[str]:
    answer = http.get("/v1/jobs", params=query)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


@pytest.fixture(scope="module")
def known(server: Server) -> dict[str, dict[str, Any]]:
    with httpx.Client(base_url=server.url, timeout=240) as http:
        return {
            "first": submit(http, 1, metadata={"commit": "a=1", "branch": "main"}),
            "second": submit(http, 2, metadata={"commit": "b"}),
            "third": submit(http, 3),
        }


def test_jobs_are_found_by_kind_key_metadata_time_and_state(http, known) -> None:
    first, second, third = (known[name]["id"] for name in ("first", "second", "third"))
    assert ids(http, kind="craft") == [third, second, first]
    assert ids(http, kind="train") == []
    assert ids(http, content_key=known["second"]["content_key"]) == [second]
    assert ids(http, metadata="commit=a=1") == [first]
    assert ids(http, metadata=["commit=a=1", "branch=main"]) == [first]
    assert ids(http, metadata=["commit=b", "branch=main"]) == []
    assert ids(http, created_after=known["first"]["created_at"]) == [third, second]
    assert ids(http, created_before=known["third"]["created_at"]) == [second, first]
    assert ids(http, status="queued", metadata="commit=b") == [second]
    assert ids(http, status="failed") == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"kind": "crafts"}, "kind"),
        ({"metadata": "commit"}, "metadata.0"),
        ({"metadata": "a=\0"}, "metadata.0"),
        ({"content_key": "x"}, "content_key"),
        ({"created_after": "yesterday"}, "created_after"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(http, query, pointer) -> None:
    fault = http.get("/v1/jobs", params=query)
    assert_problem(fault, 422, fault.json()["code"], pointer)


def test_metadata_that_no_database_can_hold_is_refused(http) -> None:
    for noted in ({"a": "\0"}, {"\0": "a"}):
        answer = http.post("/v1/jobs", json={"spec": SPEC, "metadata": noted})
        assert_problem(answer, 422, "invalid-input")


def test_unknown_parameters_are_refused_with_the_nearest_known(http) -> None:
    fault = assert_problem(http.get("/v1/masks?algoritm=raiw"), 422, "invalid-input", "algoritm")
    assert "algorithm" in fault["detail"]


def test_a_page_token_belongs_to_its_filters(http, known) -> None:
    page = http.get("/v1/jobs", params={"kind": "craft", "page_size": 2}).json()
    token = {"page_token": page["next_page_token"]}
    assert ids(http, kind="craft", page_size=1, **token) == [known["first"]["id"]]
    assert_problem(http.get("/v1/jobs", params=token), 422, "invalid-page-token")


def test_a_row_of_a_list_holds_no_spec(http) -> None:
    spec = {"model": "raiw/resnet101-imagenet"}
    asked = http.post("/v1/jobs", json={"spec": spec})
    page = http.get("/v1/jobs", params={"page_size": 1}).json()
    assert page["items"][0]["id"] == asked.json()["id"]
    assert len(httpx.Response(200, json=page).content) < 2000 < len(asked.content)


def test_who_joins_is_kept_with_the_later_deadline(http, server) -> None:
    body = {"deadline_at": "2100-01-01T00:00:00Z", "metadata": {"run": "1"}}
    made = submit(http, 11, **body)
    early = submit(http, 11, deadline_at="2099-01-01T00:00:00Z", metadata={"run": "2"})
    assert (early["id"], early["deadline_at"]) == (made["id"], made["deadline_at"])
    later = submit(http, 11, deadline_at="2101-01-01T00:00:00Z")
    assert later["deadline_at"].startswith("2101")
    never = submit(http, 11, metadata={"run": "3"})
    assert never["deadline_at"] is None
    assert submit(http, 11, deadline_at="2102-01-01T00:00:00Z")["deadline_at"] is None
    job = http.get(f"/v1/jobs/{made['id']}").json()
    assert (job["metadata"], job["joined"]) == ({"run": "1"}, 4)
    assert job["joined_metadata"] == [{"run": "2"}, {"run": "3"}]
    for run in "123":
        assert ids(http, metadata=f"run={run}") == [made["id"]]


def test_cancel_says_who_asked(http) -> None:
    job = submit(http, 12)
    asked = http.post(
        f"/v1/jobs/{job['id']}/cancel",
        params={"metadata": ["why=superseded"]},
        headers={"User-Agent": "a pipeline", "X-Request-ID": "request-7"},
    )
    by = {"request_id": "request-7", "client": "a pipeline", "metadata": {"why": "superseded"}}
    assert asked.json()["canceled_by"] == by
    http.post(f"/v1/jobs/{job['id']}/cancel", headers={"User-Agent": "somebody else"})
    assert http.get(f"/v1/jobs/{job['id']}").json()["canceled_by"] == by
    events = http.get(f"/v1/jobs/{job['id']}/events").json()["items"]
    assert events[-1]["data"] == {"status": "canceled", **by}
    bad = http.post(f"/v1/jobs/{job['id']}/cancel", params={"reason": "x"})
    assert_problem(bad, 422, "invalid-input", "reason")


def test_masks_are_listed_filtered_and_gone_when_removed(start) -> None:
    server = start()
    crafted, _ = store(server.services)
    with httpx.Client(base_url=server.url) as http:
        [row] = http.get("/v1/masks").json()["items"]
        assert (row["digest"], row["algorithm"]) == (crafted.digest, "regular")
        assert (row["name"], row["importance"], row["bytes"]) == ("", None, crafted.file_bytes)
        assert "document" not in row
        for query, found in [
            ("algorithm=regular&pinned=false&name=", 1),
            ("algorithm=raiw", 0),
            ("pinned=true", 0),
            (f"created_after={row['created_at'].replace('+', '%2B')}", 0),
        ]:
            assert len(http.get(f"/v1/masks?{query}").json()["items"]) == found, query
        assert http.get("/v1/masks?page_size=1").json()["next_page_token"] == ""
        http.delete(row["url"]).raise_for_status()
        assert http.get("/v1/masks").json()["items"] == []


@pytest.mark.parametrize(
    ("accepts", "coding"), [("gzip", "gzip"), ("gzip, zstd", "zstd"), ("br", None), ("", None)]
)
def test_text_is_compressed_as_the_client_accepts(server, accepts, coding) -> None:
    decoders = {"gzip": gzip.decompress, "zstd": lambda data: zstandard.ZstdDecompressor()
                .decompressobj().decompress(data), None: bytes}  # fmt: skip
    url = f"{server.url}/v1/models"
    plain = httpx.get(url, headers={"Accept-Encoding": "identity"})
    with httpx.stream("GET", url, headers={"Accept-Encoding": accepts}) as answer:
        sent = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == coding
    assert "Accept-Encoding" in answer.headers["vary"]
    assert decoders[coding](sent) == plain.content
    assert coding is None or len(sent) < len(plain.content) / 3


def test_a_job_with_its_spec_is_compressed_piece_by_piece(http) -> None:
    made = http.post("/v1/jobs", json={"spec": {"model": "raiw/resnet101-imagenet"}})
    assert made.headers["content-encoding"] == "zstd"
    assert len(made.json()["spec"]["layers"]) > 100
    job = http.get(made.headers["location"])
    again = http.get(made.headers["location"], headers={"If-None-Match": job.headers["etag"]})
    assert again.status_code == 304


def test_files_and_small_answers_are_sent_as_they_are(start) -> None:
    server = start()
    crafted, file = store(server.services)
    with httpx.Client(base_url=server.url, headers={"Accept-Encoding": "gzip, zstd"}) as http:
        whole = http.get(f"/v1/masks/{crafted.digest}/file")
        assert "content-encoding" not in whole.headers
        assert whole.content == file
        part = http.get(f"/v1/masks/{crafted.digest}/file", headers={"Range": "bytes=0-1999"})
        assert (part.status_code, part.content) == (206, file[:2000])
        small = http.get("/v1/masks")
        assert len(small.content) < MIN_BYTES
        assert "content-encoding" not in small.headers


def test_a_model_as_served_can_be_posted_back(http) -> None:
    for name in catalogue.names():
        spec = http.get(f"/v1/models/{name}").json()
        answer = http.post("/v1/plan", json={"spec": spec})
        if "craft" in spec:
            assert answer.status_code == 200, (name, answer.text)
        else:
            target = http.post("/v1/plan", json={"spec": spec | {"craft": {"density": 0.5}}})
            assert target.status_code == 200, (name, target.text)


def test_new_gates_for_stored_masks_are_a_job_and_the_same_gates_a_hit(http, server) -> None:
    services = server.services
    crafted, _ = store(services)

    def ask(**gates: Any) -> httpx.Response:
        return http.post("/v1/jobs", json={"spec": SPEC | ({"gates": gates} if gates else {})})

    made = ask().json()
    with services.database.write() as session:
        now = services.database.now(session)
        row = session.get(JobRow, made["id"])
        row.status, row.attempt = JobStatus.RUNNING, 1
        session.flush()
        assert jobs.succeed(session, jobs.Attempt(made["id"], 1), crafted.digest, now)
    assert ask().headers["x-raiw-cache"] == "hit"
    gated = ask(max_weights=1)
    assert (gated.headers["x-raiw-cache"], gated.json()["status"]) == ("created", "queued")
    failed = [{"gate": "max_weights", "limit": 1, "failures": [{"layer": None, "value": 256}]}]
    with services.database.write() as session:
        row = session.get(JobRow, gated.json()["id"])
        row.status, row.attempt = JobStatus.RUNNING, 1
        session.flush()
        attempt = jobs.Attempt(row.id, 1)
        assert jobs.succeed(session, attempt, crafted.digest, now, failed)
    hit = ask(max_weights=1)
    assert (hit.headers["x-raiw-cache"], hit.json()["id"]) == ("hit", gated.json()["id"])
    assert hit.json()["result"]["failed_gates"] == failed
    assert ask().json()["id"] == made["id"]
    assert ask().json()["result"]["failed_gates"] is None
