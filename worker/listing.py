"""``python -m worker.listing MODULE...``: the networks of modules that may be imported, as JSON.

A program of its own, because it runs the code of others.
"""

import json
import sys

from raiw.errors import RaiwError
from raiw.nets.networks import list_networks


def main() -> None:
    """Print one line: ``items``, and ``faults`` by what could not be imported."""
    faults: dict[str, str] = {}

    def on_fault(name: str, error: RaiwError) -> None:
        faults[name] = error.message

    items = [network.to_json() for network in list_networks(sys.argv[1:], on_fault)]
    print(json.dumps({"items": items, "faults": faults}))  # noqa: T201 -- that is its whole work


if __name__ == "__main__":
    main()
