"""SQLite has one writer at a time, and no line: the threads of a process make one."""

import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from service.settings import Settings
from service.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(Settings(state_dir=tmp_path, database_lock_seconds=1))


def test_who_waits_for_another_thread_does_not_ask_sqlite(database: Database) -> None:
    with ExitStack() as opened:  # to open a connection may take the lock, too
        for _ in range(4):
            opened.enter_context(database.read()).execute(text("SELECT 1"))
    asked: list[object] = []
    event.listen(database.engine, "begin", asked.append, insert=True)  # before it waits

    def write() -> None:
        with database.write() as session:
            session.execute(text("SELECT 1"))

    others = [threading.Thread(target=write) for _ in range(3)]
    with database.write():
        for other in others:
            other.start()
        time.sleep(0.3)
        assert len(asked) == 1
    for other in others:
        other.join()
    assert len(asked) == 4


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
