"""Signatures of webhooks, after the Standard Webhooks specification 1.0."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

OVERLAP = timedelta(days=1)
"""How long the secret before the last one signs too, so that a receiver has time to change."""


def generations(last: int, rotated_at: datetime | None, now: datetime) -> list[int]:
    """Return which secrets sign now, the newest first."""
    both = rotated_at is not None and now < rotated_at + OVERLAP
    return [last, last - 1] if both else [last]


def written(secret: bytes) -> str:
    """Return a secret as receivers are given it.

    >>> written(bytes(24))
    'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return "whsec_" + base64.b64encode(secret).decode()


def signed(
    secrets: Sequence[bytes], message_id: str, moment: datetime, body: str
) -> dict[str, str]:
    """Return the headers of a message, with one signature for each secret.

    >>> from datetime import UTC
    >>> moment = datetime.fromtimestamp(1614265330, UTC)
    >>> key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> message = "msg_p5jXN8AQM9LWM0D4loKWxJek"
    >>> signed([key], message, moment, '{"test": 2432232314}')["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    seconds = str(int(moment.timestamp()))
    text = f"{message_id}.{seconds}.{body}".encode()
    signatures = (hmac.digest(secret, text, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(
            "v1," + base64.b64encode(signature).decode() for signature in signatures
        ),
    }
