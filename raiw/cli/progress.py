"""Progress of a craft: a bar on a terminal, now and then a line elsewhere, always on stderr."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from raiw.cli.output import Output
from raiw.cli.terminal import animated

if TYPE_CHECKING:
    from rich.progress import Progress

_LINE_SECONDS = 10.0
"""Least seconds between two lines of a log, except for the first and the last."""


class LayerProgress:
    """Shows how many layers are done; a context manager.

    Parameters
    ----------
    output
        Whether to be quiet.
    doing
        What is being done to the layers.
    total
        Number of layers.
    first_line
        Seconds before the first line, where there is no terminal.
    unit
        What is counted.
    """

    def __init__(
        self,
        output: Output,
        doing: str,
        total: int,
        *,
        first_line: float = 0.0,
        unit: str = "layers",
    ) -> None:
        self._unit = unit
        self._output = output
        self._doing = doing
        self._total = total
        self._began = time.monotonic()
        self._line_due = first_line
        self._said_anything = False
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if animated() and not self._output.quiet:
            self._bar = _bar()
            self._bar.add_task(self._doing, total=self._total)
            try:
                self._bar.start()
            except BaseException:  # an interrupt leaves no half-drawn bar, nor a hidden cursor
                self._bar.stop()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, completed: int, what: str) -> None:
        """Show that ``completed`` layers are done, and what is being done."""
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=completed, description=f"{self._doing} {what}")
            return
        elapsed = time.monotonic() - self._began
        if elapsed >= self._line_due or (completed == self._total and self._said_anything):
            self._line_due = elapsed + _LINE_SECONDS
            self._said_anything = True
            progress = f"{completed}/{self._total} {self._unit}, {elapsed:.1f} s"
            self._output.note(f"{self._doing}: {progress}, {what}")


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
