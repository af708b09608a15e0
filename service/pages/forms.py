"""Forms that carry a file: where they are posted, and how large they may be."""

from service.settings import Settings

EDITOR = "/new"
SCORES = "/pages/scores"
WITH_FILES = (EDITOR, SCORES)
_MOST_BYTES = 1 << 30


def most_bytes(settings: Settings) -> int:
    """Return how large a form with a file of scores may be."""
    return min(settings.max_upload_bytes, _MOST_BYTES)
