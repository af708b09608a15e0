"""What every raiw document shares: frozen, strict about unknown fields, faults told by pointer."""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from raiw.canonical import SHA256
from raiw.errors import InvalidSpec
from raiw.names import clipped, nearest
from raiw.specs.faults import told

Digest = Annotated[str, Field(pattern=f"^{SHA256}$")]
"""``sha256:`` and 64 lower-case hex digits."""

UNKNOWN_FIELD = "unknown_field"
"""Type of the fault that names a field no document has."""

_LONGEST_DETAIL = 1000

_UNION_TAGS = frozenset(
    {"linear", "linear_transpose", "kernel_size:number", "kernel_size:list"}
    | {f"conv{way}{axes}d" for way in ("", "_transpose") for axes in (1, 2, 3)}
)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Stands last in the type of a strict integer: JSON may write 16 as 16.0, and never as "16"."""


class Document(BaseModel):
    """A frozen pydantic model that refuses unknown fields and raises :class:`InvalidSpec`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    newer: ClassVar[frozenset[str]] = frozenset()
    """Fields that came when keys were in use: left out of them while they have their default, which
    means what was there before."""

    @model_validator(mode="before")
    @classmethod
    def _know_every_field(cls, value: Any) -> Any:
        """Refuse unknown fields with the nearest known one, which pydantic does not name."""
        fields = list(cls.model_fields)
        for name in value if isinstance(value, dict) else ():
            if name not in fields:
                raise PydanticCustomError(
                    UNKNOWN_FIELD,
                    "unknown field {shown}{hint}; there are {fields}",
                    {
                        # A lone surrogate, which JSON can say, cannot be said back.
                        "field": clipped(str(name)).encode(errors="backslashreplace").decode(),
                        "shown": clipped(repr(name)),
                        "hint": nearest(str(name), fields),
                        "fields": ", ".join(fields),
                    },
                )
        return value

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Validate a decoded document.

        Raises
        ------
        InvalidSpec
            With every fault, each at its JSON pointer.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise invalid_spec(error) from None

    def keyed(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """Return what content keys are made of: every field, with the defaults of those left out.

        A default that changes therefore changes the key, as it changes the result. ``without``
        names the fields that cannot change a bit of what the key is of.
        """
        fields = type(self).model_fields
        return {
            name: _keyed(getattr(self, name))
            for name in fields
            if name not in without
            and (
                name not in self.newer
                or getattr(self, name) != fields[name].get_default(call_default_factory=True)
            )
        }


def _keyed(value: Any) -> Any:
    if isinstance(value, Document):
        return value.keyed()
    if isinstance(value, list | tuple):
        return [_keyed(item) for item in value]
    return value


def invalid_spec(error: ValidationError) -> InvalidSpec:
    """Turn pydantic's report into ours: one line a fault, JSON pointers, nearest field names."""
    problems = []
    for fault in error.errors(include_url=False):
        cause = fault.get("ctx", {}).get("error")
        if isinstance(cause, InvalidSpec):
            problems.extend(cause.problems)
            continue
        at, words = fault_pointer(fault, fault["loc"]), clipped(told(fault), _LONGEST_DETAIL)
        problems.append({"pointer": at, "detail": words})
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    at = f"{first['pointer']}: " if first["pointer"] else ""
    return InvalidSpec(f"{at}{first['detail']}{more}", pointer=first["pointer"], problems=problems)


def fault_pointer(fault: Mapping[str, Any], path: Iterable[Any]) -> str:
    """Return the JSON pointer of a pydantic fault found at ``path``."""
    where = [part for part in path if part not in _UNION_TAGS]
    if fault["type"] == UNKNOWN_FIELD:
        where.append(fault["ctx"]["field"])
    return json_pointer(where)


def json_pointer(parts: list[Any] | tuple[Any, ...]) -> str:
    """Return the RFC 6901 pointer of a path.

    >>> json_pointer(["layers", 3, "a/b"])
    '/layers/3/a~1b'
    """
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
