"""One document for each kind of job: what stands in it is what everybody does."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import create_model
from safetensors.torch import save_file

from raiw.canonical import digest_of_file
from raiw.cli.app import run
from raiw.jobs import registry
from raiw.jobs.document import JobDocument
from raiw.jobs.fields import MASKS, UPLOADED, DataSet, StoredMasks, UploadDigest, stored
from raiw.jobs.registry import KINDS, JobKind
from raiw.jobs.score import ScoreJob
from raiw.jobs.train import TrainJob
from raiw.nets.registry import build
from raiw.specs.document import Document
from service.contract.requests import request_of
from worker.tasks.job import load
from worker.tasks.task import ChildTask

ONE, TWO, THREE = ("sha256:" + digit * 64 for digit in "123")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
        save_file(build("digits-cnn").state_dict(), path)
    return path


def with_samples(monkeypatch: pytest.MonkeyPatch, samples: int) -> JobKind:
    """Give the document of ``score`` another default, as an edit of the one line would."""
    other: Any = create_model("Other", __base__=ScoreJob, samples=(int, samples))
    known = KINDS["score"]
    kind = JobKind(other, known.queue, known.main, known.phase, module=known.module)
    monkeypatch.setitem(registry.KINDS, "score", kind)
    return kind


def worked(folder: Path, request: dict[str, Any], files: dict[str, str]) -> dict[str, Any]:
    """Do what a worker's process does with a task; return the report."""
    document = {"task": "job", "share": {}, "job": request, "files": files}
    document |= {"data_dir": ".", "folder": str(folder), "modules": []}
    pipe = io.BytesIO()
    load(ChildTask.of(document, pipe))()
    report: dict[str, Any] = json.loads(pipe.getvalue().splitlines()[-1])["report"]
    return report


def test_the_default_of_a_document_is_that_of_service_worker_and_command(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    digest = digest_of_file(weights)
    body = {"network": "digits-cnn", "weights": digest, "data": "digits", "method": "snip"}
    command = ["score", "digits-cnn", "-w", str(weights), "--data", "digits", "-m", "snip"]
    command += ["-o", str(tmp_path / "scores.safetensors"), "--json"]
    keys = set()
    for samples in (17, 23):
        kind = with_samples(monkeypatch, samples)
        request: Any = request_of(kind).model_validate(body | {"kind": "score"})
        document = request.document()
        assert document.samples == samples
        keys.add(document.content_key())
        files = {digest: str(weights)}
        assert worked(tmp_path, document.model_dump(mode="json"), files)["samples"] == samples
        # What the version before has stored lacks whatever had its default.
        assert worked(tmp_path, body | {"kind": "score"}, files)["samples"] == samples
        assert run(command) == 0
        assert json.loads(capsys.readouterr().out)["samples"] == samples
        assert run(["score", "--help"]) == 0
        assert f"[default: {samples}]" in " ".join(capsys.readouterr().out.split())
    assert len(keys) == 2


def test_what_is_stored_is_whole() -> None:
    """So a worker with other defaults does what was asked, and what the key says."""
    body = {"kind": "score", "network": "digits-cnn", "weights": ONE, "data": "digits"}
    request: Any = request_of(KINDS["score"]).model_validate(body | {"metadata": {"a": "b"}})
    assert request.document().model_dump(mode="json") == {
        **body,
        "arguments": {},
        "channels": None,
        "network_revision": None,
        "method": "gradient",
        "options": {"samples": "signed", "taps": "l1"},
        "samples": 1000,
        "seed": 0,
    }


def test_stored_bytes_are_found_by_the_types_of_fields() -> None:
    class Part(Document):
        weights: tuple[UploadDigest, ...] = ()
        note: str = ""

    class Whole(Document):
        teacher: UploadDigest
        parts: tuple[Part, ...] = ()
        data: DataSet | None = None
        masks: StoredMasks | None = None
        digest: str = THREE

    whole = Whole.parse(
        {"teacher": ONE, "parts": [{"note": TWO}, {"weights": [ONE, TWO]}], "masks": THREE}
    )
    uploads = {"/teacher": ONE, "/parts/1/weights/0": ONE, "/parts/1/weights/1": TWO}
    assert stored(whole, UPLOADED) == uploads
    assert stored(whole, MASKS) == {"/masks": THREE}
    named = whole.model_copy(update={"data": "digits"})
    assert stored(named, UPLOADED) == uploads
    assert stored(whole.model_copy(update={"data": TWO}), UPLOADED) == uploads | {"/data": TWO}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_digest_of_a_document_says_where_its_bytes_are(kind: JobKind) -> None:
    """A field that is a digest and no more would never be checked, fetched or kept."""
    job = kind.document.model_construct(**dict.fromkeys(kind.document.model_fields))
    for name, field in kind.document.model_fields.items():
        if "sha256" in str(field):
            named = job.model_copy(update={name: ONE})
            assert stored(named, UPLOADED) | stored(named, MASKS) == {f"/{name}": ONE}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_table_of_kinds_is_in_order(kind: JobKind) -> None:
    assert KINDS[kind.name] is kind
    assert issubclass(kind.document, JobDocument)
    if kind.module is not None:
        assert callable(kind.load())
    assert "{" not in kind.main_file(kind.document.model_construct())


def test_the_main_file_of_a_training_is_that_of_its_first_seed() -> None:
    job = TrainJob.parse({"network": "digits-cnn", "data": "digits", "seeds": [5, 3]})
    assert KINDS["train"].main_file(job) == "weights-seed-5"
