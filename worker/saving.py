"""Saving a task's folder while the task runs, so that another host can go on from there."""

import logging
import threading
from types import TracebackType
from typing import Any, Self

from raiw.errors import RaiwError
from service.store.files.artifacts import Artifacts
from worker.supervising import OnEvent

logger = logging.getLogger(__name__)


class Saving:
    """Saves in a thread of its own whenever the task has told of progress.

    What the task tells is passed on to ``on_event``. A store that is away costs epochs, if the host
    dies before it is back, but never the job.
    """

    def __init__(self, artifacts: Artifacts, content_key: str, on_event: OnEvent) -> None:
        self._artifacts = artifacts
        self._content_key = content_key
        self._on_event = on_event
        self._due = threading.Event()
        self._left = False
        self._thread = threading.Thread(target=self._save, name="saving", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left = True
        self._due.set()
        self._thread.join()

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        """Take note of an event of the task."""
        self._on_event(event, data)
        self._due.set()

    def _save(self) -> None:
        left = False
        while not left:
            self._due.wait()
            self._due.clear()
            left = self._left  # read before the last time
            try:
                self._artifacts.save_run(self._content_key)
            except RaiwError as error:
                logger.warning("the folder of a task is not saved yet: %s", error)
            except FileNotFoundError:
                self._due.set()  # a file was replaced while it was looked for
