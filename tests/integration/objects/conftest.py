"""Services without a server, on SQLite and on PostgreSQL, because locks differ."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.jobs.services import Services
from service.settings import Settings
from service.store import migrate
from tests.integration.objects.deeds import HOUR, SIDE, Open
from tests.integration.s3 import S3
from tests.integration.stack import Postgres, Sqlite


@pytest.fixture(scope="session", params=[Sqlite, Postgres])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server = request.param(Path(folder))
        yield server.url
        server.stop()


@pytest.fixture
def objects(request: pytest.FixtureRequest) -> str:
    """The bucket of the services; without the mark ``EVERYWHERE`` they have a folder."""
    if getattr(request, "param", "folder") == "folder":
        return ""
    server: S3 = request.getfixturevalue("s3")
    return server.url()


@pytest.fixture
def start(url: str, objects: str, tmp_path: Path, forks: None) -> Iterator[Open]:
    """Open services with given settings on an empty database; masks and units are files."""
    running: list[Services] = []

    def opened(**changes: Any) -> Services:
        values = {
            "state_dir": tmp_path,
            "database_url": url,
            "objects": objects,
            "min_free_bytes": 0,
            "masks_in_database_bytes": 0,
            "unit_cells": SIDE**2,
            "keep_blobs_seconds": HOUR,
            "keep_masks_seconds": HOUR,
        }
        settings = Settings(**{**values, **changes})
        running.append(Services.open(settings))
        return running[-1]

    services = opened()
    migrate.upgrade(services.database)
    yield opened
    migrate.downgrade(services.database, "base")
    for services in running:
        services.database.close()
