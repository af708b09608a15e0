"""What a command says: the result on stdout, everything else on stderr."""

import json
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raiw.cli.terminal import speaks_unicode
from raiw.errors import InvalidSpec, RaiwError, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raiw.cli.table import Table
    from raiw.cli.writing import Target
    from raiw.specs.dead import DeadUnits
    from raiw.specs.spec import Spec

_SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Output:
    """How a command was asked to write its output."""

    json: bool = False
    """Print one JSON document per line and nothing else on stdout."""
    quiet: bool = False
    """Print the bare result: a digest, a key or an id."""

    def document(self, value: Any) -> None:
        """Print a JSON document."""
        text = json.dumps(value, ensure_ascii=not speaks_unicode(), allow_nan=False)
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """Print a line of the result."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def items(
        self, items: "Sequence[dict[str, Any]]", table: "Callable[[], Table]", name: str = "id"
    ) -> None:
        """Print a list: one document, the bare names of its items, or a table."""
        if self.json:
            self.document({"items": items, "next_page_token": ""})
        elif self.quiet:
            for item in items:
                self.line(item[name])
        else:
            self.tables(table())

    def spec(self, spec: "Spec", file: "Target | None") -> None:
        """Print a spec as YAML, or write it to a file."""
        text = spec.to_yaml()
        if file is not None:
            file.write([text.encode()])
            plan = spec.plan(scored=True)
            self.note(f"wrote {file.name}: {plan.weights:,} of {plan.dense_weights:,} weights")
            self.dead_units(plan.dead_units, strict=False)
        if self.json:
            self.document(spec.canonical())
        elif file is None:
            self.line(text.rstrip())

    def tables(self, *tables: "Table") -> None:
        """Print tables: in the columns of a terminal, or tab-separated into a file or pipe.

        Tables with the same columns share one line of titles in a pipe, where notes go to standard
        error.
        """
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns
            for number, table in enumerate(tables):
                lines = table.lines(width, sys.stdout.encoding)
                self.line("\n".join([*([""] if number else []), *lines]))
            return
        titles: list[str] = []
        for table in tables:
            head, *rows = table.values()
            for cells in rows if head == titles else [head, *rows]:
                sys.stdout.write("\t".join(cells) + "\n")
            titles = head
            sys.stdout.flush()
            for note in table.notes:
                self.note(note)

    def dead_units(self, dead: "list[DeadUnits]", *, strict: bool) -> None:
        """Name the layers with dead units, or refuse them."""
        if dead:
            from raiw.specs.dead import refuse_dead, told

            if strict:
                refuse_dead(dead)
            self.note(f"warning: {told(dead)}")

    def error(self, error: RaiwError) -> None:
        """Tell an error on standard error, and on standard output where JSON was asked for."""
        if self.json:
            self.document(error_document(error))
        complain(error_text(error))

    def note(self, text: str) -> None:
        """Tell the user something that is not a result."""
        if not self.quiet:
            complain(text)


def complain(text: str) -> None:
    """Print what even a quiet command must say: errors, and how to continue."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def error_document(error: RaiwError) -> dict[str, Any]:
    """Return what ``--json`` prints for an error."""
    facts = dict(error.details)
    code = facts.pop("code", error.code)
    return {
        "error": {
            "code": code,
            "title": error.title,
            "message": error.message,
            "pointer": error.pointer,
            **facts,
        }
    }


def error_text(error: RaiwError) -> str:
    """Return the text for people: the message, then every further fault of a spec."""
    lines = [f"error: {error.message}"]
    if isinstance(error, InvalidSpec) and len(error.problems) > 1:
        shown = error.problems[:_SHOWN_PROBLEMS]
        lines += [f"  {fault['pointer'] or '/'}: {fault['detail']}" for fault in shown]
        if len(error.problems) > len(shown):
            lines.append(f"  … and {len(error.problems) - len(shown)} more")
    elif isinstance(error, Unauthorized):
        lines.append("  raiw login --server URL keeps a token; RAIW_TOKEN goes before it")
    elif error.pointer and error.pointer not in error.message:
        lines.append(f"  at {error.pointer}")
    return "\n".join(lines)
