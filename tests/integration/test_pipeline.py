"""What a pipeline meets: hit, join, gate, lock, server down, timeout; the examples run for real."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

import raiw
from raiw.locking import Lock
from raiw.specs.gates import Gates
from tests.integration.stack import Stack, free_port

ROOT = Path(__file__).parents[2]
LAYERS = [{"name": "fc", "kind": "linear", "in_features": 64, "out_features": 48}]
INSTALL = re.compile(r"^(python -m )?pip install ")


def environment(url: str = "", **more: str) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAIW_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return known | {"PATH": path, "RAIW_URL": url, **more}


@dataclass
class Checkout:
    """A pipeline's working copy, and where its commands go."""

    folder: Path
    url: str = ""
    output: list[str] = field(default_factory=list)

    def spec(self, seed: int, **fields: Any) -> None:
        document = {"name": "ci", "layers": LAYERS, "craft": {"degree": 4, "seed": seed}, **fields}
        (self.folder / "spec.yaml").write_text(yaml.safe_dump(document))

    def raiw(self, *arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "raiw", *arguments],
            cwd=self.folder, env=environment(self.url), capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def craft(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        status, out, _ = self.raiw("craft", "spec.yaml", "--json", *arguments)
        return status, json.loads(out)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_path_of_a_pipeline(  # noqa: PLR0915 -- the path is the point
    deployment: Stack, checkout: Checkout
) -> None:
    deployment.stop_workers()
    checkout.url = deployment.url
    checkout.spec(901)

    status, out, _ = checkout.raiw("craft", "spec.yaml", "--detach", "--metadata", "run=1")
    assert status == 0
    job = out.strip()
    asked = ["craft", "spec.yaml", "--metadata", "run=2", "--timeout", "1"]
    status, _, err = checkout.raiw(*asked)
    assert status == 8, err  # still running
    assert f"joined job {job}" in err
    view = deployment.job(job)
    assert (view["metadata"], view["joined_metadata"]) == ({"run": "1"}, [{"run": "2"}])

    deployment.start_worker()
    status, out, _ = checkout.raiw("jobs", "wait", job)
    assert (status, out.strip()) == (0, deployment.job(job)["result"]["digest"])
    status, result = checkout.craft("-o", "masks.safetensors")
    assert (status, result["cache"], result["job"]["id"]) == (0, "hit", job)

    assert checkout.raiw("lock", "masks.safetensors")[0] == 0
    assert checkout.craft("--locked", "raiw.lock", "--report", "report")[0] == 0
    checkout.spec(902)
    status, result = checkout.craft("--locked", "raiw.lock")
    assert (status, [one["field"] for one in result["error"]["lock"]]) == (6, ["spec"])
    wanted = {"created_before": deployment.job(job)["finished_at"], "kind": "craft"}
    found = deployment.client.jobs("succeeded", metadata={"run": "2"}, **wanted)
    assert [one.id for one in found] == [job]
    stored = deployment.client.stored_masks(name="ci", algorithm="regular", pinned=False)
    assert [row["digest"] for row in stored] == [deployment.job(job)["result"]["digest"]]

    checkout.spec(901, gates={"max_weights": 1, "components": 1})
    status, result = checkout.craft("--report", "report")
    assert (status, result["cache"]) == (6, "created")
    assert result["digest"] == deployment.job(job)["result"]["digest"]
    failed = {"gate": "max_weights", "limit": 1, "failures": [{"layer": None, "value": 256}]}
    assert result["job"]["result"]["failed_gates"] == [failed]
    junit = ET.parse(checkout.folder / "report/junit.xml").getroot()  # noqa: S314 -- just written
    assert {case.get("name"): len(case.findall("failure")) for case in junit.iter("testcase")} == {
        "max_weights": 1,
        "components": 0,
    }
    status, result = checkout.craft()
    assert (status, result["cache"]) == (6, "hit")

    deployment.stop_workers()
    checkout.spec(903)
    _, out, _ = checkout.raiw("craft", "spec.yaml", "--detach")
    assert checkout.raiw("jobs", "cancel", out.strip(), "--metadata", "why=superseded")[0] == 0
    status, _, err = checkout.raiw("jobs", "wait", out.strip())
    assert status == 3
    assert re.search(r"canceled by raiw-client/\S+, why superseded", err)

    checkout.url = f"http://127.0.0.1:{free_port()}"
    assert checkout.raiw("craft", "spec.yaml")[0] == 7


def test_new_gates_are_judged_without_crafting_again(stack: Stack, checkout: Checkout) -> None:
    """Also where several workers share a job."""
    spec = {"layers": LAYERS, "craft": {"degree": 4, "seed": 904}}
    first = stack.wait(stack.submit(spec).json()["id"])
    gates = {"components": 1, "max_entropy_gap": 10, "no_dead_units": True}
    judged = stack.wait(stack.submit(spec | {"gates": gates}).json()["id"])
    assert judged["result"]["digest"] == first["result"]["digest"]
    assert judged["result"]["failed_gates"] == []
    assert judged["id"] != first["id"]
    progress = [one for one in stack.events(judged["id"]) if one["event"] == "progress"]
    assert progress == []  # no layer was crafted


def test_statistics_are_waited_for(stack: Stack) -> None:
    spec = {"layers": LAYERS, "craft": {"degree": 4, "seed": 905}}
    digest = stack.wait(stack.submit(spec).json()["id"])["result"]["digest"]
    url = f"/v1/masks/{digest}/statistics"
    answer = stack.http.get(url, headers={"Prefer": "wait=30"})
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.status_code == 200, answer.text
    assert answer.json()["statistics"]["layers"]["fc"]["components"] == 1


class Runner:
    """Does with a workflow what a host's runner does, as far as shell steps go."""

    def __init__(self, folder: Path, contexts: dict[str, dict[str, str]]) -> None:
        self.folder = folder
        self.contexts = contexts
        self.summary = folder / "step-summary.md"
        self.summary.touch()
        self.steps: dict[str, dict[str, str]] = {}

    def expand(self, text: Any, inputs: dict[str, str], steps: dict[str, dict[str, str]]) -> str:
        """Replace ``${{ … }}``; what is not there is empty."""

        def value(found: re.Match[str]) -> str:
            parts = found[1].split(".")
            if parts[0] == "steps":
                assert parts[2] == "outputs"
                return steps.get(parts[1], {}).get(parts[3], "")
            known = {"inputs": inputs, **self.contexts}[parts[0]]
            return known.get(parts[1], "")

        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, str(text))

    def run(self, script: str, env: dict[str, str]) -> tuple[int, dict[str, str]]:
        """Run a step as ``shell: bash`` does, and read what it put out."""
        output = self.folder / "step-output"
        output.write_text("")
        given = {
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_REPOSITORY": "somebody/network",
            "GITHUB_SHA": "08e7f1",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "7",
        }
        file = self.folder / "step.sh"
        file.write_text(script)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)],
            cwd=self.folder, env=environment(**{"RAIW_TOKEN": "", **given, **env}), check=False,
        )  # fmt: skip
        lines = (line.partition("=") for line in output.read_text().splitlines())
        return done.returncode, {name: value for name, _, value in lines}

    def action(self, given: dict[str, str]) -> tuple[int, dict[str, str]]:
        """Run the composite action of this repository."""
        action = yaml.safe_load((ROOT / "action.yml").read_text())
        inputs = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
        assert given.keys() <= inputs.keys()
        assert all(name in given for name, one in action["inputs"].items() if one.get("required"))
        inputs |= given
        steps: dict[str, dict[str, str]] = {}
        status = 0
        for step in action["runs"]["steps"]:
            if INSTALL.match(step["run"]):
                assert step["if"] == "inputs.version != ''"
                continue  # it is installed here
            env = {n: self.expand(v, inputs, steps) for n, v in step.get("env", {}).items()}
            assert "${{" not in step["run"], "texts of users must not become code"
            status, steps[step.get("id", "")] = self.run(step["run"], env)
        told = {n: self.expand(o["value"], inputs, steps) for n, o in action["outputs"].items()}
        return status, told

    def workflow(self, path: Path) -> int:
        """Run the only job of a workflow."""
        [job] = yaml.safe_load(path.read_text())["jobs"].values()
        for step in job["steps"]:
            if step.get("uses", "").startswith("raiw/"):
                given = {n: self.expand(v, {}, self.steps) for n, v in step["with"].items()}
                status, self.steps[step["id"]] = self.action(given)
            elif "run" in step:
                status, _ = self.run(self.expand(step["run"], {}, self.steps), {})
            else:
                continue
            if status:
                return status
        return 0


@pytest.fixture
def repository(checkout: Checkout) -> Checkout:
    """A working copy with the files that the examples name."""
    checkout.spec(910)
    rng = np.random.default_rng(0)
    save_file({"fc": rng.random((48, 64), np.float32)}, checkout.folder / "scores.safetensors")
    masks = raiw.craft(checkout.folder / "spec.yaml", checkout.folder / "scores.safetensors")
    Lock.of(masks).save(checkout.folder / "raiw.lock")
    checkout.output.append(masks.digest)
    return checkout


def test_the_action_crafts_on_a_server(stack: Stack, repository: Checkout) -> None:
    contexts = {"vars": {"RAIW_URL": stack.url}, "secrets": {}}
    runner = Runner(repository.folder, contexts)
    assert runner.workflow(ROOT / "examples/ci/github.yml") == 0
    told = runner.steps["masks"]
    assert told["digest"] == repository.output[0]
    assert (told["cache"], told["exit-status"]) in [("created", "0"), ("hit", "0")]
    assert told["digest"] in runner.summary.read_text()
    run = "https://github.com/somebody/network/actions/runs/7"
    assert [*stack.client.jobs(metadata={"run": run})] or told["cache"] == "hit"


def test_the_action_crafts_without_a_server(repository: Checkout) -> None:
    runner = Runner(repository.folder, {"vars": {}, "secrets": {}})
    assert runner.workflow(ROOT / "examples/ci/github.yml") == 0
    told = runner.steps["masks"]
    assert (told["digest"], told["cache"]) == (repository.output[0], "")
    [job] = yaml.safe_load((ROOT / "examples/ci/github.yml").read_text())["jobs"].values()
    for path in job["steps"][-1]["with"]["path"].split():
        assert (repository.folder / path).exists()


def test_the_action_fails_as_the_command_does(repository: Checkout) -> None:
    runner = Runner(repository.folder, {"vars": {}, "secrets": {}})
    repository.spec(910, gates={"max_weights": 1})
    status, told = runner.action({"spec": "spec.yaml", "report": "report", "version": ""})
    assert (status, told["exit-status"]) == (6, "6")
    assert told["digest"]
    assert "failed" in runner.summary.read_text()
    hostile = '"; touch broken; echo "$(touch broken)'
    status, told = runner.action({"spec": hostile, "version": ""})
    assert (status, told["exit-status"], told["digest"]) == (5, "5", "")
    assert not (repository.folder / "broken").exists()
    status, told = runner.action({"spec": "spec.yaml", "server": f"http://127.0.0.1:{free_port()}"})
    assert (status, told["exit-status"]) == (7, "7")


def test_the_example_for_gitlab_runs(repository: Checkout) -> None:
    job = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text())["masks"]
    script = [line for line in job["before_script"] + job["script"] if not INSTALL.match(line)]
    given = environment(CI_COMMIT_SHA="08e7f1", CI_PIPELINE_URL="https://gitlab/7")
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", "\n".join(script)],
        cwd=repository.folder, env=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, repository.output[0]), done.stderr
    for path in [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]:
        assert (repository.folder / path).exists()
    assert job["retry"]["exit_codes"] == [7]


def test_the_example_for_jenkins_runs(repository: Checkout) -> None:
    text = (ROOT / "examples/ci/Jenkinsfile").read_text()
    [script] = re.findall(r"script: '''(.*?)'''", text, re.DOTALL)
    given = environment(GIT_COMMIT="08e7f1", BUILD_URL="https://jenkins/7")

    def run() -> int:
        # A Groovy text takes \ and a line break out before the shell sees them.
        command = ["sh", "-xe", "-c", script.replace("\\\n", "")]
        return subprocess.run(command, cwd=repository.folder, env=given, check=False).returncode

    assert run() == 0
    for path in re.findall(r"(?:testResults|artifacts): '([^',]+)", text):
        assert (repository.folder / path).exists()
    repository.spec(911)
    assert run() == int(re.findall(r"status == (\d)", text)[0]) == 6


def test_what_the_page_shows_runs(checkout: Checkout) -> None:
    page = (ROOT / "docs/ci.md").read_text()
    [spec] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (checkout.folder / "spec.yaml").write_text(spec)
    script = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    done = subprocess.run(
        ["bash", "-ex", "-c", script],
        cwd=checkout.folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in re.findall(r"`(\w+\.(?:md|xml|html|svg))`", page):
        assert (checkout.folder / "report" / name).exists()
    gates = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)))
    assert gates == list(Gates.model_fields)
