"""The document of the API: what the routes' types cannot say.

Every route answers errors alike, so that is written here once for all of them; what some share,
such as downloads, is a bundle that they name in their decorator.
"""

from functools import cache
from typing import Any

from fastapi import FastAPI
from starlette.responses import JSONResponse

from raiw.canonical import digest_of_hex
from raiw.forms import FORMS
from service.contract.problems import Fault, Problem

Described = dict[Any, Any]

BYTES_SCHEMA: Described = {"schema": {"type": "string", "format": "binary"}}
BYTES: Described = {"application/octet-stream": BYTES_SCHEMA}
"""Content that is not text."""

_DIGEST = digest_of_hex("0" * 64)
_LAYERS = [
    {"name": "fc1", "kind": "linear", "in_features": 784, "out_features": 256},
    {"name": "fc2", "kind": "linear", "in_features": 256, "out_features": 10},
]
_NETWORK = {"network": "digits-cnn", "data": "digits"}
PLANS: Described = {
    "layers": {"value": {"spec": {"layers": _LAYERS, "craft": {"density": 0.1}}}},
    "preset": {"value": {"spec": {"model": "raiw/vgg16-d16"}}},
}
"""Bodies of a plan."""
JOBS: Described = {
    **PLANS,
    "scores": {"value": {"kind": "score", **_NETWORK, "weights": _DIGEST, "method": "snip"}},
    "pruned": {"value": {"kind": "prune", **_NETWORK, "weights": _DIGEST}},
    "shared": {
        "value": {
            "kind": "budget",
            "spec": {"layers": _LAYERS, "craft": {"density": 0.1}},
            "importance": _DIGEST,
            "method": "global",
        }
    },
    "verified": {"value": {"kind": "verify", "masks": _DIGEST}},
    "compared": {"value": {"kind": "study", "spec": {"model": "raiw/vgg16-d16"}, "seeds": 3}},
    "reproduced": {"value": {"kind": "reproduce", "item": "table4"}},
    "trained": {"value": {"kind": "train", **_NETWORK, "seeds": [0, 1], "recipe": {"epochs": 20}}},
}
"""Bodies of a job, of every kind."""
SPECS: Described = {"checkpoint": {"value": {"weights": _DIGEST, "density": 0.1}}}
"""Bodies that ask for the spec of a checkpoint."""
UPLOADS: Described = {"scores": {"value": {"digest": _DIGEST, "bytes": 1 << 30}}}
"""Bodies that begin an upload."""
WEBHOOKS: Described = {"ends": {"value": {"url": "https://ci.example.org/raiw", "note": "CI"}}}
"""Bodies that register a webhook."""

_HEADERS = {
    "Accept-Ranges": "`bytes`.",
    "Allow": "With 405: the methods that the path supports.",
    "Content-Disposition": "A name for the file.",
    "Content-Length": "Bytes of the body, or of what GET would send.",
    "Content-Range": "Which bytes, out of how many.",
    "ETag": "Validator for `If-None-Match` and `If-Range`.",
    "Idempotent-Replayed": "`true` where the same request came before under the same key.",
    "Location": "Where the resource is.",
    "Preference-Applied": "The part of `Prefer` that was followed.",
    "RateLimit": "What is left of the limit on requests, and in how many seconds there is more.",
    "RateLimit-Policy": "The limit on requests, and its seconds.",
    "Repr-Digest": "SHA-256 of the whole file (RFC 9530).",
    "Retry-After": "Seconds after which to ask again.",
    "Upload-Offset": "The next byte to send.",
    "WWW-Authenticate": "With 401: the scheme to use.",
    "X-Raiw-Cache": "`hit`: stored already; `joined`: a job was making it; `created`: a new job.",
    "X-Request-ID": "Id of the request, sent or new; it appears in the server's log.",
}
_SCHEMAS: Described = {
    "Content-Length": {"type": "integer", "minimum": 0},
    "Retry-After": {"type": "integer", "minimum": 0},
    "Upload-Offset": {"type": "integer", "minimum": 0},
    "X-Raiw-Cache": {"type": "string", "enum": ["hit", "joined", "created"]},
}


def headers(*always: str, perhaps: tuple[str, ...] = ()) -> Described:
    """Describe headers of a response: those it always has, and those it may have."""
    return {
        name: {
            "description": _HEADERS[name],
            "schema": _SCHEMAS.get(name, {"type": "string"}),
            **({"required": True} if name in always else {}),
        }
        for name in (*always, *perhaps)
    }


def parameters(*names: str) -> Described:
    """Describe headers of a request that a route reads by itself."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": False,
                "description": _PARAMETERS[name],
                "schema": {"type": "string"},
            }
            for name in names
        ]
    }


_PARAMETERS = {
    "Prefer": "`wait=N` delays the answer until the job has ended, for at most N seconds (30).",
    "If-None-Match": "ETags that the client has: an equal one is answered by 304.",
    "Range": "One range of bytes, such as `bytes=0-1023`; for several the whole file is sent.",
    "If-Range": "The ETag that the range is meant for; for another the whole file is sent.",
}

_STORED = ("ETag", "Accept-Ranges")
_FILE: Described = {
    200: {
        "description": "The bytes.",
        "headers": headers(
            *_STORED, "Content-Length", "Content-Disposition", perhaps=("Repr-Digest",)
        ),
    },
    304: {"description": "The client has it already.", "headers": headers(*_STORED)},
}
DOWNLOAD: Described = {
    "responses": {
        **_FILE,
        200: _FILE[200] | {"content": BYTES},
        206: {
            "description": "The range asked for.",
            "content": BYTES,
            "headers": _FILE[200]["headers"] | headers("Content-Range"),
        },
        416: {
            "description": "The range starts behind the end.",
            "content": {},
            "headers": headers("Content-Range"),
        },
    },
    "openapi_extra": parameters("Range", "If-Range", "If-None-Match"),
}
"""A GET of bytes that never change."""
EXPORT: Described = DOWNLOAD | {
    "responses": {
        **DOWNLOAD["responses"],
        **{
            status: {
                **DOWNLOAD["responses"][status],
                "content": {form.media_type: BYTES_SCHEMA for form in FORMS.values()},
            }
            for status in (200, 206)
        },
        307: {
            "description": "The file is to be fetched from the bucket, without `Authorization`.",
            "headers": headers("ETag", "Location"),
        },
    }
}
"""Such a GET of masks, in any form."""
DOWNLOAD_HEAD: Described = {"responses": _FILE, "openapi_extra": parameters("If-None-Match")}
"""The HEAD of such bytes."""
UPLOAD: Described = {"openapi_extra": {"requestBody": {"content": BYTES, "required": True}}}
"""A body of bytes."""
UPLOAD_PART: Described = {"openapi_extra": {"requestBody": {"content": BYTES}}}
"""A body of bytes that may be empty, when all have arrived already."""

_PROBLEM: Described = {
    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
}
FAULTS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "The request cannot be served as it is; `code` says why.",
        "content": _PROBLEM,
        "headers": headers(perhaps=("Allow", "Retry-After", "Upload-Offset", "WWW-Authenticate")),
    },
    "5XX": {
        "description": "The server cannot serve this now; `retryable` says whether it may later.",
        "content": _PROBLEM,
        "headers": headers(perhaps=("Retry-After",)),
    },
}
"""How every route answers errors."""


class SchemaResponse(JSONResponse):
    """A JSON Schema."""

    media_type = "application/schema+json"


def install(app: FastAPI) -> None:
    """Make the application serve the finished document."""
    bare = app.openapi

    @cache
    def finished() -> Described:
        return _finish(bare())

    app.openapi = finished  # type: ignore[method-assign]  # the way FastAPI names for it


def _finish(document: Described) -> Described:
    schemas = document["components"]["schemas"]
    for model in (Fault, Problem):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas[model.__name__] = {k: v for k, v in schema.items() if k != "$defs"}
    for schema in schemas.values():
        if "description" in schema:  # only the summary of a docstring; the rest is for programmers
            schema["description"] = schema["description"].partition("\n\n")[0]
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                marks = headers("X-Request-ID", perhaps=("RateLimit", "RateLimit-Policy"))
                response["headers"] = response.get("headers", {}) | marks
                if status == "416":
                    response["content"] = _PROBLEM
    whole: Described = _whole_numbers(document)
    return whole


def _whole_numbers(value: Any) -> Any:
    """Write limits as they are: the models of FastAPI turn 1024 into 1024.0."""
    if isinstance(value, dict):
        return {key: _whole_numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
