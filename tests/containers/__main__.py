"""The compose file, run for real, from nothing: ``python -m tests.containers``.

Two images are built, of this tree and of a newer one with one migration more. Then, while clients
submit jobs without a pause, every container is killed, a worker is replaced in the middle of a job,
the newer image replaces the older one part by part, and all is taken down and up again. Every job
that was accepted must end once, with the bytes that the library makes here.

It takes docker, or podman and podman-compose, from the PATH, or the commands it is told. Where the
registry of the base images cannot be reached, PYTHON_IMAGE, POSTGRES_IMAGE and REDIS_IMAGE name
others. Containers, networks and volumes are removed at the end.
"""

import argparse
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.script import ScriptDirectory

import raiw
from tests.containers.engine import ROOT, Project, default_compose, found_engine
from tests.containers.traffic import Traffic, long

OLD, NEW = "check-old", "check-new"
SERVICES = ("postgres", "redis", "api", "worker-cpu")
_MIGRATION = '''"""One table more, as a newer version would have it."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None
older_code_works = True


def upgrade() -> None:
    op.create_table("newer", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade() -> None:
    op.drop_table("newer")
'''
_began = time.monotonic()


def tell(text: str) -> None:
    print(f"{time.monotonic() - _began:7.1f} s  {text}", flush=True)


@contextmanager
def newer_tree() -> Iterator[Path]:
    """Yield a copy of the tree with one migration more."""
    with tempfile.TemporaryDirectory(prefix="raiw-newer-") as folder:
        tree = Path(folder) / "tree"
        unwanted = shutil.ignore_patterns(
            ".git", ".venv", "*.so", "__pycache__", "build", ".*cache"
        )
        shutil.copytree(ROOT, tree, ignore=unwanted)
        head = ScriptDirectory(str(ROOT / "migrations")).get_current_head()
        text = _MIGRATION.format(head=head)
        (tree / "migrations" / "versions" / "9999_newer.py").write_text(text, "utf-8")
        yield tree


def build(project: Project, *, gpu: bool) -> None:
    base = os.environ.get("PYTHON_IMAGE")
    arguments = ["--build-arg", f"PYTHON_IMAGE={base}"] if base else []
    project.build(f"raiw:{OLD}", "--build-arg", "VERSION=1.0.0", *arguments)
    tell("built the image")
    with newer_tree() as tree:
        project.build(f"raiw:{NEW}", "--build-arg", "VERSION=1.1.0", *arguments, context=tree)
    tell("built a newer image, with one migration more")
    if gpu:
        project.build(f"raiw-gpu:{OLD}", "--build-arg", "EXTRAS=server,torch,data", *arguments)
        tell("built the image of the GPU profile")


def up(project: Project) -> None:
    """Start everything in the order that the compose file's conditions name."""
    for service in ("postgres", "redis"):
        project.start(service)
    project.compose("run", "--rm", "--no-deps", "migrate")
    for service in ("api", "worker-cpu"):
        project.start(service)


def check_limits(project: Project) -> None:
    for service in SERVICES:
        facts = project.facts(service)
        tell(f"{service}: " + ", ".join(f"{name} {value}" for name, value in facts.items()))
        assert facts["Memory"], service
        assert facts["PidsLimit"], service
        if service in ("api", "worker-cpu"):
            assert facts["ReadonlyRootfs"], service
            assert int(str(facts["capabilities"]), 16) == 0, service


def check_paper_network(traffic: Traffic) -> None:
    spec = raiw.Spec.load("raiw/vgg16-d16")
    job = traffic.finished(traffic.submit(spec.canonical()))
    assert job["status"] == "succeeded", job
    here, there = raiw.craft(spec).digest, job["result"]["digest"]
    assert here == there, f"{here} here, {there} in the containers"
    tell(f"VGG-16 d-16 crafted: {there}, as here")


def kill_each(project: Project) -> None:
    for service in SERVICES:
        project.kill(service)
        tell(f"killed {service}; it is up again")


def replace_worker_mid_job(project: Project, traffic: Traffic) -> None:
    spec = long()
    job_id = traffic.submit(spec)
    while not (progress := traffic.http.get(f"/v1/jobs/{job_id}").json()["progress"]["completed"]):
        time.sleep(0.2)
    project.replace("worker-cpu")
    tell(f"replaced the worker after {progress} of {len(spec['layers'])} layers of a job")
    job = traffic.finished(job_id)
    assert job["status"] == "succeeded", job
    assert job["result"]["digest"] == raiw.craft(spec).digest
    tell(f"the job succeeded, attempt {job['attempt']}, with the library's bytes")


def upgrade(project: Project, traffic: Traffic) -> None:
    project.environment["TAG"] = NEW
    project.compose("run", "--rm", "--no-deps", "migrate")
    ready = traffic.http.get("/readyz")
    assert ready.is_success, ready.text
    tell(f"migrated; the API is still {version(project, 'api')} and ready")
    for service in ("api", "worker-cpu"):
        before = version(project, service)
        project.replace(service)
        after = version(project, service)
        assert before != after
        tell(f"{service}: {before} became {after}")


def version(project: Project, service: str) -> str:
    return project.inside(service, "raiw", "--version").strip()


def run(project: Project, traffic: Traffic) -> bool:
    """Take the deployment through everything; return whether nothing was lost."""
    up(project)
    tell("up from nothing: database, broker, migration, API, worker")
    check_limits(project)
    check_paper_network(traffic)
    traffic.start()
    try:
        kill_each(project)
        replace_worker_mid_job(project, traffic)
        upgrade(project, traffic)
        project.compose("down")
        tell("down")
        up(project)
        tell("up again, with the same volumes")
    finally:
        traffic.stop()
    found = traffic.count()
    tell(", ".join(f"{count} {what}" for what, count in found.items()))
    for line in traffic.refused:
        tell(line)
    wrong = found["ended more than once"] + found["of other bytes"] + len(traffic.refused)
    return not wrong and found["succeeded"] == found["accepted"] > 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.containers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", help="default: docker or podman, whichever is there")
    parser.add_argument("--compose", help="default: docker compose, or podman-compose")
    parser.add_argument("--build", help="a command that takes a tag; default: ENGINE build . --tag")
    parser.add_argument("--gpu", action="store_true", help="build the image with torch, too")
    asked = parser.parse_args()
    engine = asked.engine or found_engine()
    port, token = free_port(), secrets.token_hex(24)
    environment = {"TAG": OLD, "RAIW_PORT": str(port), "RAIW_TOKEN": token}
    for name in ("POSTGRES_PASSWORD", "RAIW_KEY_SECRET"):
        environment[name] = secrets.token_hex(32)
    project = Project(
        "raiw-check",
        engine=engine,
        compose=asked.compose or default_compose(engine),
        build=asked.build or f"{engine} build . --tag",
        environment=environment,
    )
    build(project, gpu=asked.gpu)
    project.compose("down", "--volumes")
    try:
        sound = run(project, Traffic(f"http://127.0.0.1:{port}", token))
    finally:
        project.compose("down", "--volumes")
        tell("down, volumes removed")
    tell("nothing lost" if sound else "FAILED")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
