"""Types of fields that job documents share: that of a digest says where its bytes are stored."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field

from raiw.canonical import SHA256, is_digest
from raiw.specs.document import WHOLE, Digest, json_pointer
from raiw.specs.limits import AtMost
from raiw.training.recipe import MAX_SEED


@dataclass(frozen=True, slots=True)
class Stored:
    """Marks the type of a field that names stored bytes by their digest."""

    where: str


UPLOADED = Stored("uploads")
MASKS = Stored("masks")

UploadDigest = Annotated[Digest, UPLOADED]
"""Digest of an uploaded file."""
StoredMasks = Annotated[Digest, MASKS]
"""Content digest of stored masks."""
DataSet = Annotated[
    str, Field(pattern=rf"^({SHA256}|[A-Za-z0-9_][A-Za-z0-9_.\-]{{0,99}})$"), UPLOADED
]
"""Name of a data set that the workers have, or digest of an uploaded one."""
Seed = Annotated[int, Field(ge=0, le=MAX_SEED, strict=True), WHOLE]
Option = (
    Annotated[int, Field(ge=-(1 << 53), le=1 << 53, strict=True)]
    | Annotated[float, Field(allow_inf_nan=False, strict=True)]
    | Annotated[str, Field(max_length=100)]
)
Options = Annotated[dict[Annotated[str, Field(max_length=64)], Option], AtMost(32)]
Argument = (
    Annotated[bool, Field(strict=True)]
    | Option
    | Annotated[tuple[Annotated[bool, Field(strict=True)] | Option, ...], AtMost(64)]
)
Arguments = Annotated[
    dict[Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z]\w*$")], Argument], AtMost(64)
]
"""Arguments of a network's factory, by their names."""


def stored(document: BaseModel, where: Stored) -> dict[str, str]:
    """Return the digests that a document names in fields of a marked type, by JSON pointer."""
    return {json_pointer(path): digest for path, digest in _digests(document, where, ())}


def _digests(value: Any, where: Stored, path: tuple[Any, ...]) -> Iterator[tuple[Any, str]]:
    if isinstance(value, BaseModel):
        for name in _looked_into(type(value), where):
            yield from _digests(getattr(value, name), where, (*path, name))
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from _digests(item, where, (*path, place))
    elif isinstance(value, str) and is_digest(value):
        yield path, value


@cache
def _looked_into(model: type[BaseModel], where: Stored) -> tuple[str, ...]:
    """Return the fields that are of a marked type, or hold documents with such a field."""
    return tuple(
        name
        for name, field in model.model_fields.items()
        if where in field.metadata or _mentions(field.annotation, where)
    )


def _mentions(annotation: Any, where: Stored) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return bool(_looked_into(annotation, where))
    return annotation == where or any(_mentions(part, where) for part in get_args(annotation))
