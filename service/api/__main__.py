"""Print the document of the API: ``python -m service.api > docs/openapi.json``."""

import json

from service.api.app import create_app
from service.settings import Settings


def text() -> str:
    """Return the document as it is checked in."""
    return json.dumps(create_app(Settings()).openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201 -- redirected to docs/openapi.json
