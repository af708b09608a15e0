"""What is published is opened by the clients of those who keep it, without a network."""

import json
import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import raiw
from raiw.cli.app import app
from raiw.masks import MaskSet
from raiw.publishing.files import CARD, MASKS, SPEC, files

SET = raiw.craft(
    {
        "name": "two: *layers*",
        "layers": [
            {"name": "fc", "kind": "linear", "in_features": 16, "out_features": 8},
            {"name": "head", "kind": "linear", "in_features": 8, "out_features": 4},
        ],
        "craft": {"degree": 2},
    },
    importance={"fc": np.ones((8, 16), "f4"), "head": np.ones((4, 8), "f4")},
)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    SET.save(tmp_path / MASKS)
    return tmp_path / MASKS


def assert_published(folder: Path) -> None:
    """The files of a place are those of the masks."""
    assert raiw.load(folder / MASKS) == SET
    assert raiw.Spec.load(folder / SPEC) == SET.spec
    assert (folder / CARD).read_text("utf-8").startswith("---\n")


def test_the_hub_reads_the_card(masks: Path, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    told = run_raiw("export", masks, "--to", "hub", "-o", tmp_path / "hub")
    assert f"hf upload OWNER/NAME {tmp_path / 'hub'}" in told
    assert_published(tmp_path / "hub")
    card = hub.ModelCard.load(tmp_path / "hub" / CARD)
    assert card.data.library_name == "raiw"
    assert card.data.tags == ["sparsity", "pruning", "masks", "raiw"]
    assert SET.digest in card.text
    assert f"-i FILE` with the scores {SET.importance}" in card.text
    assert r"two: \*layers\*" in card.text


def test_a_folder_with_another_card_is_left_as_it_is(masks: Path, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text("mine")
    done = CliRunner().invoke(app, ["export", str(masks), "--to", "hub", "-o", str(tmp_path)])
    assert "holds something else" in str(done.exception)
    assert (tmp_path / CARD).read_text() == "mine"
    assert raiw.load(tmp_path / MASKS) == SET


def test_the_same_masks_are_published_as_the_same_bytes() -> None:
    again = MaskSet(SET.values(), SET.origin)
    for name, chunks in files(SET).items():
        assert b"".join(chunks) == b"".join(files(again)[name])


def test_mlflow_finds_the_run_again(masks: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    store = tmp_path / "kept"
    code = f"""
import sys
from mlflow import MlflowClient
client = MlflowClient("sqlite:///{store}/mlflow.db")
(run,) = client.search_runs([client.get_experiment_by_name("raiw").experiment_id])
assert run.info.status == "FINISHED", run
print(run.info.run_name, run.data.params["digest"], run.data.metrics["weights"], sep="\\n")
client.download_artifacts(run.info.run_id, "", sys.argv[1])
"""
    told = run_raiw("export", masks, "--to", "mlflow", "-o", store)
    assert f"mlflow ui --backend-store-uri sqlite:///{store}/mlflow.db" in told
    (tmp_path / "read").mkdir()
    found = run_python("-c", code, tmp_path / "read").stdout.splitlines()
    assert found == ["two: *layers*", SET.digest, str(float(SET.weights))]
    assert_published(tmp_path / "read")


READ_LOG = """
import json, struct, sys
from pathlib import Path
from wandb.proto import wandb_internal_pb2

data, records, whole, place = Path(sys.argv[1]).read_bytes(), {}, b"", 7
while place + 7 <= len(data):  # blocks of 32 KiB, as in LevelDB
    if (left := 0x8000 - place % 0x8000) < 7:
        place += left
        continue
    _, size, kind = struct.unpack_from("<IHB", data, place)
    whole += data[place + 7 : place + 7 + size]
    place += 7 + size
    if kind in {1, 4}:  # a whole record, or the last part of one
        record, whole = wandb_internal_pb2.Record.FromString(whole), b""
        records[record.WhichOneof("record_type")] = record
run, contents = records["run"].run, records["artifact"].artifact.manifest.contents
config = {item.key: item.value_json for item in run.config.update}
entries = {entry.path: entry.local_path for entry in contents}
print(json.dumps({"project": run.project, "digest": config["digest"], "entries": entries}))
"""
"""Reads a run's log, in a process of its own: see ``tests/conftest.py``."""


def test_wandb_writes_a_run_that_can_be_sent(masks: Path, tmp_path: Path) -> None:
    if not any(distributions(name="wandb")):
        pytest.skip("wandb is not installed")
    told = run_raiw("export", masks, "--to", "wandb", "-o", tmp_path / "kept")
    folder = Path(told.strip().rpartition("wandb sync ")[2])
    assert_published(folder / "masks")
    (file,) = folder.glob("*.wandb")
    found = json.loads(run_python("-c", READ_LOG, file).stdout)
    assert found["project"] == "raiw"
    assert found["digest"] == f'"{SET.digest}"'
    assert set(found["entries"]) == {MASKS, SPEC, CARD}
    assert all(Path(path).is_relative_to(tmp_path) for path in found["entries"].values())


@pytest.mark.parametrize("form", ["hub", "mlflow", "wandb"])
def test_a_run_is_no_file(form: str, masks: Path) -> None:
    for output in ("-", str(masks)):
        done = CliRunner().invoke(app, ["export", str(masks), "--to", form, "-o", output])
        assert "give -o a folder" in str(done.exception)
    assert raiw.load(masks) == SET


@pytest.mark.parametrize("form", ["mlflow", "wandb"])
def test_without_its_client_the_extra_is_named(
    form: str, masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, form, None)
    monkeypatch.delitem(sys.modules, f"raiw.publishing.{form}_run", raising=False)
    done = CliRunner().invoke(app, ["export", str(masks), "--to", form, "-o", str(tmp_path / "x")])
    assert f"pip install 'raiw[{form}]'" in str(done.exception)
    assert not (tmp_path / "x").exists()


def test_mlflow_says_which_store_does_not_take_the_run(masks: Path) -> None:
    pytest.importorskip("mlflow")
    done = run_python(
        "-m", "raiw", "export", masks, "--to", "mlflow", "-o", "gopher://x", check=False
    )
    assert done.returncode == 2
    assert "MLflow's store 'gopher://x' does not take the run" in done.stderr


def run_raiw(*arguments: object) -> str:
    return run_python("-m", "raiw", *arguments).stderr


def run_python(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    settings = {"WANDB_SILENT": "true", "MLFLOW_EXPERIMENT_NAME": "raiw", "WANDB_PROJECT": "raiw"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | settings
    )
    assert not check or done.returncode == 0, done.stderr
    return done
