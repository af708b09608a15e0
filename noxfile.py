"""The daily commands: ``nox --list`` names them, ``nox`` runs those a change should pass."""

from pathlib import Path

import nox

nox.options.sessions = ["lint", "quick"]
nox.options.reuse_existing_virtualenvs = True

QUICK = ("tests/unit", "tests/property", "tests/golden", "tests/architecture")


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, lint, types and import layers."""
    session.install("-e", ".[server,dev]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def quick(session: nox.Session) -> None:
    """Run the tests that start no server: about two minutes."""
    session.install("-e", ".[server,dev]")
    session.run("pytest", *(session.posargs or QUICK))


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test, on SQLite with Valkey and on PostgreSQL with the Redis protocol."""
    session.install("-e", ".[server,dev]")
    session.run("pytest", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site of the documentation: the folder ``docs/_build``; a warning is an error."""
    session.install("-e", ".[docs,server,torch]")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build", *session.posargs)


@nox.session
def kernels(session: nox.Session) -> None:
    """Run the C++ kernels under sanitizers with hostile arguments."""
    session.install("-e", ".[server,dev]")
    session.run("python", "-m", "tests.fuzz.kernels", "--sanitize", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Look up the dependencies in the database of known vulnerabilities."""
    session.install("pip-audit")
    session.install(".[server]")
    session.run("pip-audit", "--skip-editable", "--local")


@nox.session
def dist(session: nox.Session) -> None:
    """Build what is published, and the bill of materials of a server: the folder ``dist``."""
    session.install("build", "cyclonedx-bom", "twine")
    session.run("python", "-m", "build", "--outdir", "dist")
    session.run("twine", "check", "--strict", *map(str, sorted(Path("dist").glob("raiw-*"))))
    session.install(".[server]")
    session.run("cyclonedx-py", "environment", "--output-file", "dist/sbom.json")
