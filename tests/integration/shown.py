"""The blocks of a page, run in order in one folder as its reader would.

A block is Python, or a shell's. An HTML comment before it says what the page need not show:
``given sh`` or ``given python`` with code of its own comes first, ``not run: why`` leaves the next
block out, ``in another terminal`` starts what the page's server does. A block of text after a
block is its output.
"""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

FENCE = re.compile(
    r"<!-- given (?P<kind>\w+)\n(?P<given>.*?)-->|<!-- (?P<note>[^\n]*?) -->|"
    r"^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
VARYING = re.compile(r"\d+\.\d+ s\b|\bjob_[0-9a-f]{8}\b|\b\d{4}-\d\d-\d\d \d\d:\d\d\b")
"""Times, ids and dates: other ones on every run."""


@dataclass
class Block:
    """A block of a page."""

    language: str
    code: str
    line: int
    note: str = ""
    output: str | None = None

    @property
    def skipped(self) -> str:
        """Why it is not run, if it is not; the two commands of the README are .ci/run's."""
        commands = {"command one": "installs", "command two": "runs every test"}
        if self.note in commands:
            return commands[self.note]
        return self.note.removeprefix("not run: ") if self.note.startswith("not run: ") else ""


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page that run, those left out, and those that are given."""
    found: list[Block] = []
    note = ""
    text = page.read_text("utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["kind"]:
            found.append(Block(match["kind"], match["given"], line))
        elif match["note"]:
            note = match["note"]
            continue
        elif match["language"] in ("sh", "python"):
            found.append(Block(match["language"], match["code"], line, note))
        elif match["language"] == "text" and found:
            found[-1].output = match["code"]
        elif match["language"] == "yaml" and (name := re.match(r"# (\S+\.yaml)\n", match["code"])):
            file = f"cat > {name[1]} <<'END'\n{match['code']}END\n"
            found.append(Block("sh", file, line, note))
        note = ""
    yield from found


class Reader:
    """Somebody who types what a page shows."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.names: dict[str, Any] = {"__name__": "shown"}

    def run(self, block: Block) -> str:
        """Run a block; return the lines that it printed."""
        return self.python(block.code) if block.language == "python" else self.shell(block.code)

    def python(self, code: str) -> str:
        """Run Python in the names of the page."""
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile(code, "<shown>", "exec"), self.names)  # noqa: S102 -- our own pages
        return printed.getvalue()

    def shell(self, code: str) -> str:
        """Run a shell whose output is a terminal of 80 columns; what it exports stays exported."""
        keep = self.folder.parent / f"{self.folder.name}.env"
        script = f"set -eu\n{code}\n{sys.executable} -c 'import json, os; "
        script += f'open("{keep}", "w").write(json.dumps(dict(os.environ)))\'\n'
        screen, terminal = pty.openpty()
        printed: list[bytes] = []

        def read() -> None:
            with suppress(OSError):  # the last of those who write has gone
                while chunk := os.read(screen, 1 << 16):
                    printed.append(chunk)

        reader = Thread(target=read)
        reader.start()
        try:
            done = subprocess.run(
                ["bash", "-c", script],
                check=False,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=subprocess.PIPE,
                text=True,
                timeout=500,
            )
        finally:
            os.close(terminal)
            reader.join(timeout=60)
            os.close(screen)
        output = b"".join(printed).decode().replace("\r\n", "\n") + done.stderr
        assert done.returncode == 0, f"{code}\n{output}"
        self.environment = json.loads(keep.read_text())
        return output


def missing(expected: str, output: str) -> list[str]:
    """Return the lines that a page shows and nobody printed, whatever varies."""
    printed = {VARYING.sub("_", line.rstrip()) for line in output.splitlines()}
    return [
        line
        for line in expected.splitlines()
        if line.strip() and VARYING.sub("_", line.rstrip()) not in printed
    ]
