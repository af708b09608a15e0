"""The keys that this process has seen: requests are let through without asking the database."""

import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.concurrency import run_in_threadpool

from raiw.errors import Unauthorized
from service.contract.access import NOBODY, Caller, Scope
from service.contract.keys import KEY_ID, key_id_of
from service.jobs.sealing import Seal
from service.jobs.services import Services
from service.store import keys
from service.store.database import AWAY

logger = logging.getLogger(__name__)

_MOST = 10_000
"""Keys that are remembered, and ids that are known to be none."""
_SPARSE = timedelta(minutes=1)
"""How precisely the last use of a key is known."""
_REFUSED = "the server refused the key: it is unknown, or was copied wrongly"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What is remembered of a key."""

    caller: Caller
    digest: str
    ends_at: datetime | None
    revoked: bool
    last_used_at: datetime | None


_NONE = KnownKey(Caller(NOBODY, NOBODY, frozenset()), "", None, revoked=True, last_used_at=None)

Expected = Callable[[KnownKey], str]
"""What somebody shows who has a key."""


class KeyRing:
    """Checks keys, and asks the database about each of them once in a while.

    So a key that is revoked by another process is refused after ``key_cache_seconds``, and one
    revoked here at once.
    """

    def __init__(self, services: Services) -> None:
        self.seal = Seal(services.settings)
        self._services = services
        self._lasts = services.settings.key_cache_seconds
        self._known: OrderedDict[str, tuple[float, KnownKey | None]] = OrderedDict()

    async def caller_of_key(self, key: str) -> Caller:
        """Return the caller who shows a key.

        Raises
        ------
        Unauthorized
            It is none, is unknown, or has ended.
        """
        key_id = key_id_of(key)
        if key_id is None:
            raise Unauthorized(
                "this is no key of a raiw server: it begins with raiw_ and ends with a checksum, "
                "and one letter of it is wrong or missing"
            )
        if not self.seal.is_there:
            raise Unauthorized("this server has no RAIW_KEY_SECRET, so it takes no keys")
        digest = self.seal.digest(key)
        return await self._caller(key_id, lambda known: known.digest, digest)

    async def caller_of_session(self, cookie: str) -> Caller:
        """Return the caller whose browser has signed in with a key.

        Raises
        ------
        Unauthorized
            The cookie proves no knowledge of a key that is valid.
        """
        key_id, _, proof = cookie.partition(".")
        if not KEY_ID.fullmatch(key_id) or not self.seal.is_there:
            raise Unauthorized(_REFUSED)
        return await self._caller(key_id, lambda known: self.seal.proof(known.digest), proof)

    async def session_of_key(self, key: str) -> str:
        """Return what a browser keeps that has signed in with a key; raises what checking does."""
        caller = await self.caller_of_key(key)
        return f"{caller.key_id}.{self.seal.proof(self.seal.digest(key))}"

    def forget(self, key_id: str) -> None:
        """Ask the database when the key is next shown."""
        self._known.pop(key_id, None)

    async def _caller(self, key_id: str, expected: Expected, given: str) -> Caller:
        fresh, known = self._recalled(key_id)
        if not fresh:
            known = await run_in_threadpool(self._look, key_id)
        # As long for an id that is none as for a secret that is wrong.
        right = expected(known or _NONE)
        if not hmac.compare_digest(right.encode(), given.encode()) or known is None:
            raise Unauthorized(_REFUSED)
        now = datetime.now(UTC)
        if known.revoked:
            raise Unauthorized(f"the key {key_id} was revoked: ask for another")
        if known.ends_at is not None and known.ends_at <= now:
            raise Unauthorized(f"the key {key_id} expired at {known.ends_at.isoformat()}")
        if not fresh and (known.last_used_at is None or known.last_used_at < now - _SPARSE):
            await run_in_threadpool(self._note_use, key_id)
        return known.caller

    def _recalled(self, key_id: str) -> tuple[bool, KnownKey | None]:
        """Return whether what is remembered of a key still counts, and what that is."""
        at, known = self._known.get(key_id, (0.0, None))
        now = time.monotonic()
        if not at or now - at > self._lasts:
            if at:  # others go on with what is known while one asks
                self._known[key_id] = now, known
            return False, None
        return True, known

    def _look(self, key_id: str) -> KnownKey | None:
        asked = time.monotonic()
        try:
            with self._services.database.read() as session:
                found = keys.find(session, key_id)
        except BaseException:
            self.forget(key_id)
            raise
        known = None
        if found is not None:
            row = found.key
            if row.sealed_by != self.seal.mark:
                logger.warning(
                    "the key %s was made with another secret: give all servers, and raiw keys, the "
                    "same RAIW_KEY_SECRET",
                    key_id,
                )
            scopes = frozenset(map(Scope, row.scopes))
            caller = Caller(row.owner_id, found.owner, scopes, key_id)
            revoked = row.revoked_at is not None
            known = KnownKey(caller, row.digest, row.expires_at, revoked, row.last_used_at)
        self._known[key_id] = asked, known
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return known

    def _note_use(self, key_id: str) -> None:
        database = self._services.database
        try:
            with database.write() as session:
                keys.note_use(session, key_id, database.now(session))
        except AWAY as error:
            logger.warning("the last use of the key %s is not noted: %s", key_id, error)
