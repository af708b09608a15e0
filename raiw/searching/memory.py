"""What a search has worked out and would else work out again each time it goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raiw.canonical import canonical_json
from raiw.files import write_atomically


class Memory:
    """Values by key in a JSON file. A file that is lost or damaged costs time and no more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        try:
            self._known: dict[str, Any] = json.loads(path.read_bytes())
        except (OSError, ValueError):
            self._known = {}

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """Return the value of a key, made if it is not known."""
        if key not in self._known:
            self._known[key] = make()
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        """Write the file if anything is new."""
        if self._changed:
            write_atomically(self._path, [canonical_json(self._known).encode()])
            self._changed = False
