"""Docker, or Podman with podman-compose: one compose project, and its containers one by one."""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_START_SECONDS = 180.0


class EngineFailed(Exception):
    """A command of the container engine ended with an error."""


def found_engine() -> str:
    """Return the container engine on the PATH; it has its compose command."""
    for name in ("docker", "podman"):
        compose = [*shlex.split(default_compose(name)), "version"]
        if not (shutil.which(name) and shutil.which(compose[0])):
            continue
        if subprocess.run(compose, capture_output=True, check=False).returncode == 0:
            return name
    raise EngineFailed(
        "neither docker with its plugin compose nor podman with podman-compose is on the PATH: "
        "install one"
    )


def default_compose(engine: str) -> str:
    """Return the compose command that goes with an engine."""
    return "podman-compose" if engine == "podman" else f"{engine} compose"


class Project:
    """The compose file of this folder under a project name of its own.

    Parameters
    ----------
    engine, compose, build
        Commands; ``build`` is called with a tag and build arguments, in the folder of a Dockerfile.
    environment
        What the compose file takes from the shell.
    """

    def __init__(
        self, name: str, *, engine: str, compose: str, build: str, environment: dict[str, str]
    ) -> None:
        self._name = name
        self._engine = shlex.split(engine)
        self._compose = [*shlex.split(compose), "--project-name", name]
        self._build = shlex.split(build)
        self.environment = environment

    def build(self, tag: str, *arguments: str, context: Path = ROOT) -> None:
        """Build the image of a source tree."""
        self._run([*self._build, tag, *arguments], context)

    def compose(self, *arguments: str) -> str:
        """Run a command of the compose tool."""
        return self._run([*self._compose, *arguments])

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        labels = {"project": self._name, "service": service}
        filters = [f"--filter=label=com.docker.compose.{key}={one}" for key, one in labels.items()]
        ids = self._run([*self._engine, "ps", "--all", "--quiet", *filters]).split()
        if len(ids) != 1:
            raise EngineFailed(f"{service} has {len(ids)} containers, not one")
        return ids[0]

    def start(self, service: str) -> None:
        """Start a service from its newest definition, and wait for its health check."""
        self.compose("up", "--detach", "--no-build", "--no-deps", service)
        self.wait(service)

    def wait(self, service: str) -> None:
        """Wait until a service passes the health check of the compose file.

        The check is run here: engines without a timer of their own never run it.
        """
        ends = time.monotonic() + _START_SECONDS
        while True:
            try:
                container = self.container(service)
                check = self._inspect(container, "Config")["Healthcheck"]["Test"]
                kind, *words = check
                command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
                self._run([*self._engine, "exec", container, *command])
            except EngineFailed:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.5)
            else:
                return

    def replace(self, service: str) -> None:
        """Stop a service's container, in its time of grace, and start a new one in its place."""
        container = self.container(service)
        self.compose("stop", service)
        self._run([*self._engine, "rm", container])
        self.start(service)

    def kill(self, service: str) -> None:
        """End a container as a power cut does, and see it up again."""
        container = self.container(service)
        self._run([*self._engine, "kill", "--signal", "KILL", container])
        # An engine takes this for the operator's wish, and leaves the container where it is.
        self._run([*self._engine, "start", container])
        self.wait(service)

    def inside(self, service: str, *command: str) -> str:
        """Run a command in a service's container."""
        return self._run([*self._engine, "exec", self.container(service), *command])

    def facts(self, service: str) -> dict[str, object]:
        """Return what the engine made of a service's limits and rights."""
        host = self._inspect(self.container(service), "HostConfig")
        names = ("Memory", "NanoCpus", "PidsLimit", "ReadonlyRootfs", "Init")
        return {name: host.get(name) for name in names} | {
            "logs": host["LogConfig"].get("Config") or host["LogConfig"].get("Size"),
            "restart": host["RestartPolicy"]["Name"],
            "capabilities": self._capabilities(service),
        }

    def _capabilities(self, service: str) -> str:
        status = self.inside(service, "cat", "/proc/1/status")
        return next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))

    def _inspect(self, container: str, part: str) -> dict[str, dict[str, Sequence[str]]]:
        (found,) = json.loads(self._run([*self._engine, "inspect", container]))
        section: dict[str, dict[str, Sequence[str]]] = found[part]
        return section

    def _run(self, command: Sequence[str], folder: Path = ROOT) -> str:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            cwd=folder,
            env={**os.environ, **self.environment},
            text=True,
        )
        if done.returncode:
            told = (done.stdout + done.stderr).strip()[-4000:]
            raise EngineFailed(f"{shlex.join(command)}: exit status {done.returncode}\n{told}")
        return done.stdout
