"""Keys: what one looks like, and what clients are shown of it.

::

    raiw_7Hq2mB0xWc4T_<43 characters of secret><6 of checksum>

Prefix and checksum let scanners find keys in places where none should be, and let a server refuse
a mistyped one without asking its database. All of it is letters and digits, so a double click
takes it whole.
"""

import re
import secrets
import string
import zlib
from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from raiw.specs.document import Document
from service.contract.access import SCOPES, Scope
from service.contract.jobs import View
from service.contract.requests import Moment

PREFIX = "raiw_"
KEY = re.compile(r"raiw_([0-9A-Za-z]{12})_[0-9A-Za-z]{49}", re.ASCII)
"""A key; for scanners of secrets as well."""
KEY_ID = re.compile(r"[0-9A-Za-z]{12}", re.ASCII)

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID, _SECRET, _CHECK = 12, 43, 6  # 43 digits are 256 bits, and 6 are more than the 32 of a CRC


def new_key() -> tuple[str, str]:
    """Return the id of a new key, and the key."""
    key_id, secret = _random(_ID), _random(_SECRET)
    text = f"{PREFIX}{key_id}_{secret}"
    return key_id, text + _checksum(text)


def key_id_of(text: str) -> str | None:
    """Return the id of a key; None if that is none, or is mistyped.

    >>> key_id_of("raiw_0123456789AB_" + "0" * 43 + "2kq3dJ") is None
    True
    """
    match = KEY.fullmatch(text)
    if match is None or _checksum(text[:-_CHECK]) != text[-_CHECK:]:
        return None
    return match[1]


def _random(length: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(length))


def _checksum(text: str) -> str:
    rest, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECK):
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


OwnerName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$", max_length=100)
]
KeyName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=100)]


class KeyRequest(Document):
    """A key to be made."""

    owner: OwnerName
    """Whose it is; an owner of a new name is made."""
    name: KeyName = ""
    """What it is for."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(SCOPES))]
    expires_at: Moment | None = None


class RotationRequest(Document):
    """A key to be replaced."""

    overlap_seconds: Annotated[float, Field(ge=0, le=30 * 86400)] = 0
    """How long the old key goes on being valid beside the new one."""
    expires_at: Moment | None = None
    """When the new one ends."""


class KeyView(View):
    """A key, without its secret."""

    id: str
    owner: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
    replaces: str | None
    """The key that was rotated into this one."""


class NewKey(KeyView):
    """A key that has just been made."""

    key: str
    """The key itself: it is shown this once, and not kept."""


class KeyPage(View):
    """Keys of all owners, the newest first."""

    items: list[KeyView]
    next_page_token: str


class CallerView(View):
    """Who has sent a request."""

    owner: str
    key_id: str | None
    """None for ``RAIW_TOKEN``, and where no key is needed."""
    scopes: list[Scope]
