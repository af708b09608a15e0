"""Errors only the service can raise; the rest of the tree is :mod:`raiw.errors`.

::

    RaiwError
    ├── InvalidInput
    │   ├── InvalidPageToken  a page token of another list, or a made-up one
    │   ├── DigestMismatch    other bytes than were announced
    │   ├── IdempotencyKeyReused  the key came with another request before
    │   ├── ForbiddenAddress  an address that the server may not send anything to
    │   ├── UnfitDatabase     the database's encoding, or a revision of a newer version
    │   └── InvalidSettings   a setting is wrong (:mod:`service.settings`)
    ├── NotFound
    │   └── Damaged           stored bytes that are not those of their digest any more
    ├── Unauthorized
    │   ├── Forbidden         the key lacks the scope that the route needs
    │   └── OverQuota         more than the owner may have
    ├── TooManyRequests       more requests than an owner or key may send in a time
    │   └── QuotaReached      as many jobs under way as the owner may have
    ├── AlreadyEnded          there is nothing left to cancel
    ├── InUse                 a job needs it, or it is pinned
    ├── Disabled              a webhook to which nothing is sent
    ├── OffsetMismatch        a part of an upload that does not follow the one before
    ├── Busy                  the database is locked or away
    ├── Unreachable
    │   └── ObjectsAway       the object store does not answer, or refuses
    ├── WorkerLost            every attempt at a job ended without a word
    └── InternalError         a defect of raiw
"""

from raiw.errors import InvalidInput, NotFound, RaiwError, Unauthorized, Unreachable


class Forbidden(Unauthorized):
    """The key is valid, but lacks the scope that the route needs."""

    code = "missing-scope"
    title = "The key does not allow this"


class OverQuota(Unauthorized):
    """The owner may not have that much; ``value`` and ``limit`` are among its details."""

    code = "over-quota"
    title = "The quota does not allow this"


class TooManyRequests(RaiwError):
    """The owner, or his key, has sent too many requests; ``retry_after`` tells for how long."""

    code = "rate-limited"
    title = "Too many requests"


class QuotaReached(TooManyRequests):
    """The owner has as many jobs under way, or cells in those of a day, as he may have.

    ``retry_after`` tells when to ask again.
    """

    code = "quota-reached"
    title = "The quota is reached"


class IdempotencyKeyReused(InvalidInput):
    """Another request carried the same ``Idempotency-Key``."""

    code = "idempotency-key-reused"
    title = "The Idempotency-Key belongs to another request"


class AlreadyEnded(RaiwError):
    """The job has ended, so it cannot be canceled."""

    code = "already-ended"
    title = "The job has already ended"


class InvalidPageToken(InvalidInput):
    """A page token was not made by this service for this list."""

    code = "invalid-page-token"
    title = "The page token is invalid"


class DigestMismatch(InvalidInput):
    """The bytes received are not the bytes announced."""

    code = "digest-mismatch"
    title = "The digest does not match"


class ForbiddenAddress(InvalidInput):
    """The server may not send requests to this address: it is not public."""

    code = "forbidden-address"
    title = "The server may not send anything to this address"


class Damaged(NotFound):
    """The stored bytes no longer match their digest: they count as lost."""

    code = "damaged"
    title = "The stored file is damaged"


class InUse(RaiwError):
    """It cannot be removed: a job that has not ended needs it, or it is pinned."""

    code = "in-use"
    title = "It is in use"


class Disabled(RaiwError):
    """Nothing is sent to the webhook until it is enabled."""

    code = "webhook-disabled"
    title = "The webhook is disabled"


class OffsetMismatch(RaiwError):
    """A part does not start at the offset that the upload has reached."""

    code = "offset-mismatch"
    title = "The part starts at the wrong offset"


class Busy(RaiwError):
    """The database is locked or down; trying again later is safe."""

    code = "busy"
    title = "The service is busy"


class ObjectsAway(Unreachable):
    """The object store does not answer, has no such bucket or refuses the credentials."""

    code = "objects-away"
    title = "The object store cannot be used"


class WorkerLost(RaiwError):
    """Every attempt at a job ended without an error: its worker or host was killed."""

    code = "worker-lost"
    title = "The worker was lost"


class InternalError(RaiwError):
    """A defect in raiw; its details, which may contain anything, are in the log only."""

    code = "internal-error"
    title = "raiw failed because of a defect"


class UnfitDatabase(InvalidInput):
    """The database cannot be used as it is: its encoding, or a revision of a newer version."""

    code = "unfit-database"
    title = "The database cannot be used"
