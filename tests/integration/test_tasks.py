"""Jobs that need PyTorch: scored, pruned and trained networks, through the service."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import raiw
from raiw.canonical import digest_of_file
from raiw.cli.app import run
from raiw.client import Job
from raiw.errors import InvalidInput, JobCanceled, JobFailed, NotFound
from raiw.training.train import Trained
from tests.integration.stack import Stack, eventually
from tests.integration.test_serve import alive, family
from tests.integration.test_serve_trouble import program

THREADS = {"RAIW_TASK_THREADS": "1"}
RECIPE = {"epochs": 8, "batch": 32, "halve_every": 4, "augment": False}
RULES = [{"match": "conv1", "dense": True}, {"match": "head", "dense": True}]
MASKS = {"model": "digits-cnn", "craft": {"degree": 8, "rules": RULES}}
SQLITE = pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
"""For what does not depend on the kind of database."""
_seeds = itertools.count(int(time.time()) % 1_000_000)


@pytest.fixture
def seed() -> int:
    """A seed that no job of this run has had."""
    return next(_seeds)


@pytest.fixture
def worker(idle_stack: Stack) -> Stack:
    idle_stack.start_worker(**THREADS)
    return idle_stack


def alone(seed: int, **recipe: object) -> Trained:
    """Train here what a job trains, undisturbed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        chosen = RECIPE | recipe
        return raiw.train("digits-cnn", raiw.craft(MASKS), "digits", recipe=chosen, seed=seed)
    finally:
        torch.set_num_threads(before)


def children(stack: Stack) -> set[int]:
    """Return the processes of tasks of this deployment: what its fork servers have started."""
    everybody = {pid for worker in stack.workers for pid in family(worker.pid)}
    servers = {pid for pid in everybody if "worker.child" in program(pid)}
    return alive(set().union(*map(family, servers)))


def epochs_told(stack: Stack, job_id: str) -> list[int]:
    return [
        event["data"]["metrics"]["epoch"]
        for event in stack.events(job_id)
        if event["event"] == "progress"
    ]


def train(stack: Stack, seed: int, **recipe: object) -> Job:
    chosen = RECIPE | recipe
    return stack.client.train("digits-cnn", "digits", spec=MASKS, recipe=chosen, seeds=[seed])


@SQLITE
def test_the_whole_way_from_a_trained_network_to_sparse_ones(
    worker: Stack, tmp_path: Path, seed: int
) -> None:
    """Train dense, score, craft by the scores, train sparse: each step takes the one before."""
    client = worker.client
    dense = client.train("digits-cnn", "digits", recipe=RECIPE, seeds=[seed]).wait(300)
    assert dense.report["accuracy"] > 0.9
    assert dense.report["weights"] == dense.report["dense_weights"] == 40_208
    (weights,) = client.fetch(dense, tmp_path)
    assert digest_of_file(weights) == dense.digest
    scored = client.score("digits-cnn", weights, "digits", method="gradient").wait(300)
    (scores,) = client.fetch(scored, tmp_path)
    assert digest_of_file(scores) == scored.digest
    masks = client.craft(MASKS, scores).result(120)
    assert masks.importance == scored.digest
    assert masks == raiw.craft(MASKS, scores)
    both = {"masks": masks, "recipe": RECIPE, "seeds": [seed, seed + 1]}
    sparse = client.train("digits-cnn", "digits", **both).wait(300)
    report = sparse.report
    assert report["mask_violations"] == 0
    assert report["weights"] == masks.weights
    assert report["flops"] < report["dense_flops"]
    accuracies = [run["accuracy"] for run in report["runs"]]
    assert report["accuracy"] == pytest.approx(np.mean(accuracies))
    assert report["accuracy_deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    names = [file["name"] for file in sparse.files]
    assert names == [f"weights-seed-{seed}", f"weights-seed-{seed + 1}"]
    for path in client.fetch(sparse, tmp_path):
        held = load_file(path)["fc.weight"] != 0
        assert not (held & ~masks["fc"].numpy()).any()
    again = client.train("digits-cnn", "digits", **both)
    assert again.cache == "hit"
    assert again.report == report


@SQLITE
def test_speed_is_measured_once_for_each_repeat(
    worker: Stack, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = MASKS | {"craft": MASKS["craft"] | {"seed": seed}}
    asked = {"spec": spec, "batch": [1, 2], "threads": [1], "seconds": 0}
    job = worker.client.speed("digits-cnn", **asked).wait(300)
    assert [(run["batch"], run["threads"]) for run in job.report["runs"]] == [(1, 1), (2, 1)]
    assert job.report["machine"]["cores"] == os.cpu_count()
    paths = {path.stem: path for path in worker.client.fetch(job, tmp_path)}
    assert raiw.load(paths["masks"]).digest == job.report["masks"] == raiw.craft(spec).digest
    assert json.loads(load_file(paths["speed"])["report"].tobytes()) == job.report
    shown = worker.http.get(f"/jobs/{job.id}", headers={"Accept": "text/html"}).text
    for measured in job.report["runs"]:
        assert f"{measured['dense_ms']:.3g} ms" in shown
    assert worker.client.speed("digits-cnn", **asked).cache == "hit"
    again = worker.client.speed("digits-cnn", **asked, repeat=1).wait(300)
    assert again.report["runs"] != job.report["runs"]
    masks = worker.client.craft(spec).result(120).digest
    command = ["speed", "digits-cnn", masks, "--batch", "3", "--threads", "1", "--seconds", "0"]
    assert run([*command, "--json", "--server", worker.client.url]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["masks"], [each["batch"] for each in said["runs"]]) == (masks, [3])
    with pytest.raises(InvalidInput, match="give masks or a spec"):
        worker.client.speed("digits-cnn")


@SQLITE
def test_masks_change_as_they_do_here(worker: Stack, tmp_path: Path, seed: int) -> None:
    changing = {"dynamics": {"method": "rigl", "every": 10}}
    job = train(worker, seed, **changing).wait(300)
    _, changed, _ = worker.client.fetch(job, tmp_path)
    assert alone(seed, **changing).masks.to_bytes() == changed.read_bytes()


@SQLITE
def test_a_spec_is_crafted_first_and_its_masks_come_along(
    worker: Stack, tmp_path: Path, seed: int
) -> None:
    job = train(worker, seed).wait(300)
    paths = worker.client.fetch(job, tmp_path)
    assert [path.name for path in paths] == [
        f"weights-seed-{seed}.safetensors",
        "masks.safetensors",
    ]
    assert raiw.load(paths[1]) == raiw.craft(MASKS)
    job.files[1]["name"] = "../masks"
    (tmp_path / "below").mkdir()
    assert worker.client.fetch(job, tmp_path / "below")[1] == tmp_path / "below/masks.safetensors"
    whole = alone(seed)
    assert job.report["accuracy"] == whole.report.accuracy
    assert epochs_told(worker, job.id) == list(range(1, 9))
    state = load_file(paths[0])
    for name, value in whole.model.state_dict().items():
        assert (state[name] == value.numpy()).all()


@pytest.mark.parametrize(
    ("deployment", "victim"),
    [("sqlite", "child"), ("sqlite", "told to end"), ("postgres", "worker")],
    indirect=["deployment"],
)
def test_a_killed_run_ends_with_the_numbers_of_an_undisturbed_one(
    worker: Stack, tmp_path: Path, seed: int, victim: str
) -> None:
    job = train(worker, seed, epochs=16)
    eventually(lambda: len(epochs_told(worker, job.id)) >= 3, 90)
    running = children(worker)
    assert running
    if victim == "child":
        for process in running:
            os.kill(process, signal.SIGKILL)
    else:
        leaving = worker.workers.pop()
        if victim == "worker":
            leaving.kill()
        else:
            leaving.stop()
        eventually(lambda: not alive(running))
        worker.start_worker(**THREADS)
    job.wait(300)
    assert job.view["attempt"] == 2
    told = epochs_told(worker, job.id)
    assert sorted(set(told)) == list(range(1, 17))
    assert len(told) <= 18, "it went on from its checkpoint"
    whole = alone(seed, epochs=16)
    assert job.report["runs"][0]["accuracy"] == whole.report.accuracy
    state = load_file(worker.client.fetch(job, tmp_path)[0])
    for name, value in whole.model.state_dict().items():
        assert (state[name] == value.numpy()).all()


@SQLITE
def test_a_canceled_run_stops_and_the_next_takes_it_up(worker: Stack, seed: int) -> None:
    job = train(worker, seed, epochs=60)
    eventually(lambda: len(epochs_told(worker, job.id)) >= 3, 90)
    job.cancel()
    with pytest.raises(JobCanceled):
        job.wait(300).require_digest()
    eventually(lambda: not children(worker), 10)
    again = train(worker, seed, epochs=60)
    assert again.cache == "created"
    eventually(lambda: epochs_told(worker, again.id), 90)
    assert epochs_told(worker, again.id)[0] > 3
    again.cancel()


@SQLITE
def test_a_run_out_of_time_fails_and_its_process_is_gone(worker: Stack, seed: int) -> None:
    body = {"kind": "train", "network": "digits-cnn", "data": "digits", "seeds": [seed]}
    job = worker.http.post("/v1/jobs", json=body | {"timeout_seconds": 5}).json()
    ended = worker.wait(job["id"], "failed")
    assert ended["error"]["code"] == "timeout"
    eventually(lambda: not children(worker), 10)


@SQLITE
def test_faults_have_codes(worker: Stack, tmp_path: Path, seed: int) -> None:
    client = worker.client

    def code(job: Job) -> str:
        with pytest.raises(JobFailed) as caught:
            job.wait(300).require_digest()
        return str(caught.value.details["error"]["code"])

    wild = RECIPE | {"learning_rate": 1e18}
    assert code(client.train("digits-cnn", "digits", recipe=wild, seeds=[seed])) == "diverged"
    assert code(client.train("digits-cnn", "nowhere", seeds=[seed])) == "not-found"
    assert code(client.train("lenet-mnist", "digits", seeds=[seed])) == "invalid-data"
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "wrong.safetensors")
    wrong = client.score("digits-cnn", tmp_path / "wrong.safetensors", "digits", seed=seed)
    assert code(wrong) == "invalid-tensors"
    upload = client.train("digits-cnn", tmp_path / "wrong.safetensors", seeds=[seed])
    assert code(upload) == "invalid-data"


@SQLITE
def test_too_little_memory_has_a_code(idle_stack: Stack, seed: int) -> None:
    idle_stack.start_worker(**THREADS, RAIW_TASK_MEMORY_BYTES=str(100 << 20))
    with pytest.raises(JobFailed) as caught:
        train(idle_stack, seed).wait(300).require_digest()
    assert caught.value.details["error"]["code"] == "out-of-memory"


@SQLITE
def test_two_processes_train_together(idle_stack: Stack, seed: int) -> None:
    idle_stack.start_worker(**THREADS, RAIW_TASK_PROCESSES="2")
    job = train(idle_stack, seed).wait(300)
    assert job.report["runs"][0]["processes"] == 2
    assert job.report["accuracy"] > 0.9
    assert job.report["mask_violations"] == 0


@SQLITE
def test_requests_are_judged_before_they_wait(idle_stack: Stack) -> None:
    missing = "sha256:" + "0" * 64
    good = {"kind": "train", "network": "digits-cnn", "data": "digits"}
    score = {"kind": "score", "network": "digits-cnn", "weights": missing, "data": "digits"}
    vgg = raiw.Spec.load("raiw/vgg16-d16").canonical()
    none = {"model": "digits-cnn", "craft": {"degree": -1}}
    cases = [
        (422, "/kind", good | {"kind": "tune"}),
        (404, "/network", good | {"network": "digit-cnn"}),
        (422, "/data", good | {"data": "../etc"}),
        (422, "/recipe/epochs", good | {"recipe": {"epochs": 0}}),
        (422, "/recipe/halve_every", good | {"recipe": {"halve_every": 10**400}}),
        (422, "/recipe/epoch", good | {"recipe": {"epoch": 1}}),
        (422, "/recipe", good | {"recipe": {"learning_rate": 1e-9}}),
        (422, "/seeds", good | {"seeds": [1, 1]}),
        (422, "/spec", good | {"spec": MASKS, "masks": missing}),
        (422, "/spec", good | {"spec": vgg}),
        (422, "/spec/craft/degree", good | {"spec": none}),
        (404, "/masks", good | {"masks": missing}),
        (404, "/data", good | {"data": missing}),
        (404, "/weights", score),
        (422, "/method", score | {"method": "gradiant"}),
        (422, "/options", score | {"options": {"taps": "l3"}}),
        (422, "/data", score | {"data": None}),
        (422, "/options", score | {"kind": "prune", "method": "l1_filter"}),
        (422, "/colour", good | {"colour": 1}),
    ]  # fmt: skip
    infinite = json.dumps(score | {"options": {"taps": 1e999}})
    answer = idle_stack.http.post(
        "/v1/jobs", content=infinite, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    for status, pointer, body in cases:
        answer = idle_stack.http.post("/v1/jobs", json=body)
        assert answer.status_code == status, (body, answer.text)
        assert answer.json()["errors"][0]["pointer"] == pointer, (body, answer.text)


@SQLITE
def test_the_client_says_what_is_wrong(idle_stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        idle_stack.client.score("digits-cnn", tmp_path / "none", "digits")
    with pytest.raises(NotFound, match="did you mean 'digits-cnn'"):
        idle_stack.client.train("digit-cnn", "digits")


@SQLITE
def test_the_commands_ask_a_server(
    worker: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    """Train, score, and fetch again by the job's id; the same commands work without a server."""
    recipe = [f"--set={name}={str(value).lower()}" for name, value in RECIPE.items()]
    server = ["--server", worker.url]
    training = ["train", "digits-cnn", "--data", "digits", "--seed", str(seed), *recipe]
    assert run([*training, "-o", str(tmp_path / "there"), *server, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"] > 0.9
    weights = tmp_path / "there" / "weights.safetensors"
    assert json.loads((tmp_path / "there" / "report.json").read_text()) == report
    scoring = ["score", "digits-cnn", "-w", str(weights), "--data", "digits", "--json"]
    assert run([*scoring, "-o", str(tmp_path / "there.safetensors"), *server]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "gradient"
    assert run([*scoring, "-o", str(tmp_path / "here.safetensors")]) == 0
    there, here = (load_file(tmp_path / f"{where}.safetensors") for where in ("there", "here"))
    for name, values in here.items():
        np.testing.assert_allclose(there[name], values, rtol=1e-4)
    capsys.readouterr()
    assert run(["jobs", "ls", "-q", "--limit", "2", *server]) == 0
    _, trained = capsys.readouterr().out.split()
    assert run(["jobs", "wait", trained, *server]) == 0
    assert capsys.readouterr().out.strip() == digest_of_file(weights)
    assert run(["pull", trained, "-o", str(tmp_path / "again"), *server]) == 0
    again = tmp_path / "again" / f"weights-seed-{seed}.safetensors"
    assert again.read_bytes() == weights.read_bytes()
    assert run(["jobs", "get", trained, *server]) == 0
    capsys.readouterr()
    assert run(["jobs", "watch", trained, *server]) == 0
    assert f"epoch={RECIPE['epochs']} " in capsys.readouterr().out
    assert run([*training, "-o", str(tmp_path / "there"), *server, "--device", "cpu"]) == 2


@SQLITE
def test_the_python_of_the_page_runs(
    worker: Stack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "service.md").read_text("utf-8")
    block = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    monkeypatch.setenv("RAIW_URL", worker.url)
    names = {"raiw": raiw, "folder": tmp_path, "spec": MASKS, "recipe": RECIPE | {"epochs": 2}}
    exec(compile(block, "<shown>", "exec"), names)  # noqa: S102 -- our own page, run as shown
    accuracy, violations = capsys.readouterr().out.split()
    assert float(accuracy) > 0.5
    assert violations == "0"


@SQLITE
def test_a_study_on_a_server_finds_what_one_of_this_machine_does(
    worker: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also when the server is restarted meanwhile."""
    recipe = ["--train-set=epochs=2", "--train-set=batch=32", "--train-set=augment=false"]
    study = ["study", "raiw/digits-cnn-10", "--train", "--methods", "raiw,nm", "--json"]
    study += ["--seeds", "1", "--densities", "0.1", *recipe]
    asked = [*study, "-o", str(tmp_path / "there"), "--server", worker.url]
    with ThreadPoolExecutor(1) as beside:
        ended = beside.submit(run, asked)
        eventually(lambda: list(worker.client.jobs("running")))
        worker.restart_api(away=5)
        assert ended.result() == 0
    there = json.loads(capsys.readouterr().out)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "raiw", *study, "-o", str(tmp_path / "here")]
    done = subprocess.run(command, capture_output=True, check=True, env=environment, timeout=300)
    here = json.loads(done.stdout)
    assert there["rows"] == here["rows"]
    same = ("method", "density", "seed", "accuracy", "weights", "masks")
    assert [[run[name] for name in same] for run in there["runs"]] == [
        [run[name] for name in same] for run in here["runs"]
    ]
    assert {run["error"] for run in there["runs"] if run["method"] == "nm"} == {"impossible-target"}
    before = len(list(worker.client.jobs()))
    assert run(asked) == 0
    assert json.loads(capsys.readouterr().out) == there
    assert len(list(worker.client.jobs())) == before
