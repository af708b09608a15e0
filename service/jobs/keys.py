"""Keys: made and shown once, listed, rotated, revoked."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from raiw.errors import InvalidInput, NotFound
from service.contract.access import Scope
from service.contract.keys import KeyPage, KeyRequest, KeyView, NewKey, RotationRequest, new_key
from service.contract.queries import KeyQuery
from service.jobs.queries import page_of, page_start, token_of
from service.jobs.sealing import Seal
from service.jobs.services import Services
from service.store import keys
from service.store.keys import OwnedKey
from service.store.tables import KeyRow


def create(services: Services, seal: Seal, request: KeyRequest) -> NewKey:
    """Make a key, and its owner if there is none of that name.

    Raises
    ------
    InvalidInput
        It would have expired already.
    """
    with services.database.write() as session:
        now = services.database.now(session)
        owner = keys.owner_of(session, request.owner, now)
        scopes = [Scope(scope) for scope in request.scopes]
        row = KeyRow(owner_id=owner.id, name=request.name, scopes=sorted({*scopes}))
        return _add(session, seal, OwnedKey(row, owner.name), request.expires_at, now)


def rotate(services: Services, seal: Seal, key_id: str, request: RotationRequest) -> NewKey:
    """Make a key that may do the same as another, which ends at once or after an overlap.

    Raises
    ------
    NotFound
        There is no such key.
    InvalidInput
        It is revoked or has expired, or the new one would have expired already.
    """
    with services.database.write() as session:
        now = services.database.now(session)
        old = _found(session, key_id)
        if _ended(old.key, now):
            raise InvalidInput(
                f"the key {key_id} has ended and cannot be rotated: make a new one for its owner"
            )
        row = KeyRow(
            owner_id=old.key.owner_id,
            name=old.key.name,
            scopes=old.key.scopes,
            replaces=key_id,
        )
        keys.end(session, key_id, now + timedelta(seconds=request.overlap_seconds))
        return _add(session, seal, OwnedKey(row, old.owner), request.expires_at, now)


def revoke(services: Services, key_id: str) -> None:
    """End a key; revoking twice is the same as once.

    Raises
    ------
    NotFound
        There is no such key.
    """
    with services.database.write() as session:
        _found(session, key_id)
        keys.revoke(session, key_id, services.database.now(session))


def get_key(services: Services, key_id: str) -> KeyView:
    """Return what is known about a key.

    Raises
    ------
    NotFound
        There is no such key.
    """
    with services.database.read() as session:
        return KeyView(**_shown(_found(session, key_id)))


def list_keys(services: Services, wanted: KeyQuery) -> KeyPage:
    """Return a page of the keys of all owners, the newest first."""
    with services.database.read() as session:
        rows = keys.page(session, wanted, page_start(wanted), wanted.most + 1)
    items, more = page_of((KeyView(**_shown(row)) for row in rows), wanted.most)
    token = token_of(items[-1].created_at, items[-1].id, wanted) if more else ""
    return KeyPage(items=items, next_page_token=token)


def is_any_valid(services: Services) -> bool:
    """Whether anybody could sign in with a key."""
    with services.database.read() as session:
        return keys.is_any_valid(session, services.database.now(session))


def _add(
    session: Session, seal: Seal, made: OwnedKey, expires_at: datetime | None, now: datetime
) -> NewKey:
    if expires_at is not None and expires_at <= now:
        raise InvalidInput(
            f"expires_at {expires_at.isoformat()} has passed: it is {now.isoformat()}; choose a "
            f"later one, or leave it out",
            pointer="/expires_at",
        )
    key_id, text = new_key()
    row = made.key
    row.id, row.digest, row.sealed_by = key_id, seal.digest(text), seal.mark
    row.created_at, row.expires_at = now, expires_at
    session.add(row)
    session.flush()
    return NewKey(**_shown(made), key=text)


def _found(session: Session, key_id: str) -> OwnedKey:
    found = keys.find(session, key_id)
    if found is None:
        raise NotFound(f"no key {key_id!r}")
    return found


def _ended(key: KeyRow, now: datetime) -> bool:
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now)


def _shown(found: OwnedKey) -> dict[str, object]:
    key = found.key
    return {
        "id": key.id,
        "owner": found.owner,
        "name": key.name,
        "scopes": [Scope(scope) for scope in key.scopes],
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "replaces": key.replaces,
    }
