"""Two owners on a server that needs keys, one of whom has one of everything."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np
from safetensors.numpy import save

import raiw
from raiw.canonical import digest_of, digest_of_hex
from service.contract.access import SCOPES
from service.contract.keys import KeyRequest, NewKey
from service.jobs.keys import create
from service.store import keys as stored_keys
from service.store import masks
from service.store.webhook_tables import DeliveryRow
from tests.integration.api.servers import Server

LAYER = {"name": "fc", "kind": "linear", "in_features": 64, "out_features": 64}
SPEC = {"name": "secret-name", "layers": [LAYER], "craft": {"degree": 4}}
SCORES = save({"fc": np.ones((64, 64), np.float32)})
NOBODYS = {
    "job": "job_" + "0" * 24,
    "upload": "upload_" + "0" * 24,
    "masks": digest_of_hex("1" * 64),
    "blob": digest_of_hex("2" * 64),
    "key": "0" * 12,
    "webhook": "webhook_" + "f" * 24,
    "delivery": "msg_" + "f" * 24,
}
"""Names of things that nobody has."""


def make_key(server: Server, owner: str, *scopes: str) -> NewKey:
    request = KeyRequest.parse({"owner": owner, "scopes": sorted(scopes or SCOPES)})
    return create(server.services, server.app.state.keys.seal, request)


@contextmanager
def calling(server: Server, key: str | None, **headers: str) -> Iterator[httpx.Client]:
    """Yield a client that shows a key."""
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    with httpx.Client(base_url=server.url, headers=headers, timeout=240) as client:
        yield client


@dataclass
class Belongings:
    """What an owner has, by kind."""

    server: Server
    key: str
    owner_id: str
    names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, server: Server, owner: str) -> "Belongings":
        made = make_key(server, owner)
        with server.services.database.read() as session:
            owner_id = stored_keys.find(session, made.id).key.owner_id
        one = cls(server, made.key, owner_id)
        one.names["key"] = made.id
        crafted = raiw.craft(SPEC)
        services = server.services.of(owner_id)
        with services.database.write() as session:
            masks.add(
                session,
                services.artifacts,
                owner=owner_id,
                digest=crafted.digest,
                file=crafted.to_bytes(),
                document=crafted.to_json(),
                in_database_bytes=services.settings.masks_in_database_bytes,
                now=services.database.now(session),
            )
        one.names["masks"] = crafted.digest
        with calling(server, made.key) as client:
            one.names["blob"] = digest_of(SCORES)
            put = client.put(f"/v1/blobs/{one.names['blob']}", content=SCORES)
            assert put.status_code == 201
            job = client.post("/v1/jobs", json={"spec": SPEC, "importance": one.names["blob"]})
            assert job.headers["x-raiw-cache"] == "created"
            one.names["job"] = job.json()["id"]
            upload = {"digest": digest_of_hex("3" * 64), "bytes": 1000}
            one.names["upload"] = client.post("/v1/uploads", json=upload).json()["id"]
            hook = {"url": "https://secret-name.example.com/", "events": ["job.expired"]}
            one.names["webhook"] = client.post("/v1/webhooks", json=hook).json()["id"]
        one.names["delivery"] = one._delivered()
        return one

    def _delivered(self) -> str:
        """Store a message that has been delivered; return its id."""
        database, name = self.server.services.database, f"msg_{secrets.token_hex(12)}"
        with database.write() as session:
            now = database.now(session)
            sent = DeliveryRow(
                id=name,
                webhook_id=self.names["webhook"],
                job_id=self.names["job"],
                type="job.expired",
                body="{}",
                status="delivered",
                attempts=1,
                created_at=now,
                since=now,
            )
            session.add(sent)
        return name

    def seen(self) -> dict[str, object]:
        """Return all of it as its owner sees it, but for when it was last used."""
        paths = {
            "job": "/v1/jobs/{}",
            "upload": "/v1/uploads/{}",
            "masks": "/v1/masks/{}",
            "blob": "/v1/blobs/{}",
            "webhook": "/v1/webhooks/{}",
        }
        with calling(self.server, self.key) as client:
            found = {}
            for kind, path in paths.items():
                answer = client.get(path.format(self.names[kind]))
                assert answer.status_code == 200, (kind, answer.text)
                found[kind] = answer.content
            hook = self.names["webhook"]
            found["delivery"] = client.get(f"/v1/webhooks/{hook}/deliveries").content
            return found
