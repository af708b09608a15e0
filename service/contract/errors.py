"""Errors only the service can raise; the rest of the tree is :mod:`raiw.errors`.

::

    RaiwError
    ├── InvalidInput
    │   ├── InvalidPageToken  a page token of another list, or of nobody
    │   ├── DigestMismatch    other bytes than were announced
    │   └── InvalidSettings   a setting is wrong (:mod:`service.settings`)
    ├── AlreadyEnded          there is nothing left to cancel
    ├── OffsetMismatch        a part of an upload that does not follow the one before
    ├── Busy                  the database is locked or away
    ├── WorkerLost            every attempt at a job ended without a word
    └── InternalError         a defect of raiw
"""

from raiw.errors import InvalidInput, RaiwError


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


class OffsetMismatch(RaiwError):
    """A part does not start where the upload stands."""

    code = "offset-mismatch"
    title = "The part starts at the wrong offset"


class Busy(RaiwError):
    """The database is locked or away; trying again later is safe."""

    code = "busy"
    title = "The service is busy"


class WorkerLost(RaiwError):
    """Every attempt at a job ended without a word: its worker was killed, or its host."""

    code = "worker-lost"
    title = "The worker was lost"


class InternalError(RaiwError):
    """A defect of raiw; the log holds its details, which may say anything."""

    code = "internal-error"
    title = "raiw failed by a defect"
