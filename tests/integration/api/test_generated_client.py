"""A client that openapi-python-client makes of the served document, used for real."""

import importlib
import io
import subprocess
import sys
from types import ModuleType
from typing import Any

import httpx
import pytest

from raiw.canonical import digest_of
from tests.integration.api.servers import SPEC, Server, store

TOKEN = "a token of sixteen or more"


class Generated:
    """The generated package, whose functions take the one client."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.client = self.open(TOKEN)

    def open(self, token: str) -> Any:
        return self.module("client").AuthenticatedClient(base_url=self.url, token=token)

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"generated_raiw.{name}")

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        function = self.module(f"api.{name}").sync_detailed
        return function(*arguments, client=self.client, **options)

    def file(self, data: bytes) -> Any:
        return self.module("types").File(payload=io.BytesIO(data))


@pytest.fixture(scope="module")
def server(start) -> Server:
    return start(token=TOKEN)


@pytest.fixture(scope="module")
def api(server: Server, tmp_path_factory) -> Any:
    folder = tmp_path_factory.mktemp("client")
    (folder / "document.json").write_bytes(httpx.get(f"{server.url}/openapi.json").content)
    (folder / "config.yaml").write_text("post_hooks: []\n")
    files = [
        "--path",
        "document.json",
        "--config",
        "config.yaml",
        "--output-path",
        "generated_raiw",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", *files],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Warning" not in done.stdout + done.stderr, done.stdout
    sys.path.insert(0, str(folder))
    api = Generated(server)
    with api.client:
        yield api
    sys.path.remove(str(folder))


def test_it_submits_and_looks(api: Generated) -> None:
    models = api.module("models")
    body = models.CraftJob.from_dict({"spec": SPEC})
    answer = api.call("jobs.create_job", body=body, prefer="wait=1")
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "wait=1"
    job = answer.parsed
    assert job.status == models.JobStatus.QUEUED
    again = api.call("jobs.create_job", body=body)
    assert (again.parsed.id, again.headers["x-raiw-cache"]) == (job.id, "joined")
    looked = api.call("jobs.get_job", job.id)
    assert looked.parsed.spec.additional_properties["craft"]["degree"] == 4
    etag = looked.headers["etag"]
    assert api.call("jobs.get_job", job.id, if_none_match=etag).status_code == 304
    assert [one.id for one in api.call("jobs.list_jobs").parsed.items] == [job.id]
    assert api.call("jobs.cancel_job", job.id).parsed.done


def test_it_uploads_and_downloads(api: Generated, server: Server) -> None:
    crafted, file = store(server.services)
    other = file[:-1] + bytes([file[-1] ^ 1])
    stored = api.call("uploads.put_blob", digest_of(other), body=api.file(other))
    assert (stored.status_code, stored.parsed.bytes_) == (201, len(other))
    blob = api.call("uploads.get_blob", digest_of(other))
    assert blob.parsed.payload.read() == other
    part = api.call("masks.get_mask_file", crafted.digest, range_="bytes=8-15")
    assert (part.status_code, part.parsed.payload.read()) == (206, file[8:16])

    third = file[:-1] + bytes([file[-1] ^ 2])
    wanted = api.module("models").UploadRequest(digest=digest_of(third), bytes_=len(third))
    upload = api.call("uploads.begin_upload", body=wanted).parsed
    half = len(third) // 2
    for offset, data in ((0, third[:half]), (half, third[half:])):
        upload = api.call(
            "uploads.append_to_upload", upload.id, upload_offset=offset, body=api.file(data)
        ).parsed
    assert upload.complete
    assert api.call("uploads.get_blob", digest_of(third)).parsed.payload.read() == third


def test_it_reads_errors(api: Generated, server: Server) -> None:
    models = api.module("models")
    unknown = api.call("jobs.get_job", "job_x").parsed
    assert isinstance(unknown, models.Problem)
    assert (unknown.code, unknown.status, unknown.retryable) == ("not-found", 404, False)
    bad = models.CraftJob.from_dict({"spec": {**SPEC, "craft": {"degree": 65}}})
    refused = api.call("jobs.create_job", body=bad).parsed
    assert refused.code == "impossible-target"
    assert [fault.pointer for fault in refused.errors] == ["/spec/craft/degree"]
    crafted, _ = store(server.services)
    behind = api.call("masks.get_mask_file", crafted.digest, range_="bytes=999999999-")
    assert (behind.status_code, behind.parsed.code) == (416, "range-not-satisfiable")
    with api.open("wrong") as stranger:
        denied = api.module("api.jobs.list_jobs").sync_detailed(client=stranger)
    assert (denied.status_code, denied.parsed.code) == (401, "unauthorized")
