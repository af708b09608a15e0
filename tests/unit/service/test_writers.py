"""SQLite has one writer at a time, and no line: the threads of a process make one."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.settings import Settings
from service.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(Settings(state_dir=tmp_path, database_lock_seconds=1))


def test_threads_do_not_wait_for_each_other_in_sqlite(database: Database) -> None:
    with ExitStack() as opened:
        for _ in range(4):
            connection = opened.enter_context(database.read()).connection()
            connection.execute(text("PRAGMA busy_timeout = 0"))  # who would wait there fails

    def write() -> int:
        with database.write() as session:
            time.sleep(0.01)
            return session.scalars(text("SELECT 1")).one()

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda _: write(), range(40))) == 40


def test_a_turn_that_does_not_come_is_said_by_sqlite(database: Database) -> None:
    errors = []

    def write() -> None:
        try:
            with database.write():
                pass
        except OperationalError as error:
            errors.append(str(error.orig))

    other = threading.Thread(target=write)
    with database.write():
        other.start()
        other.join()
    assert errors == ["database is locked"]
    write()  # the turn is free again
    assert len(errors) == 1


def test_a_failure_gives_the_turn_back(database: Database) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), database.write():
            raise ZeroDivisionError
    assert not database._writer.locked()
