"""Limits of documents: how many items a field holds, and how many faults are reported."""

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

MAX_FAULTS = 100
"""Faults reported for one field or document; validation stops there."""


@dataclass(frozen=True, slots=True)
class AtMost:
    """Annotates a tuple or a mapping: it has so many items at most.

    Items are counted before the first is looked at, which ``max_length`` of pydantic does not do,
    and no more than :data:`MAX_FAULTS` faults are collected among them.
    """

    items: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema: Any = {**handler(source), "max_length": self.items}
        if schema["type"] == "tuple":
            schema["fail_fast"] = True
        return core_schema.no_info_wrap_validator_function(self._validate, schema)

    def _validate(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        if isinstance(value, Sized) and len(value) > self.items:
            raise PydanticCustomError(
                "too_long",
                "{given} items are given; {most} are allowed",
                {"given": len(value), "most": self.items},
            )
        try:
            return handler(value)
        except ValidationError as error:
            of_an_item = error.errors(include_url=False)[0]["loc"]
            if not (of_an_item and isinstance(value, list | tuple)):
                raise
            raise _with_further_faults(error, value, handler) from None


def _with_further_faults(
    error: ValidationError, value: Any, handler: Callable[[Any], Any]
) -> ValidationError:
    """Look at the items after the faulty one too, until enough faults are known."""
    title, lines = error.title, _lines(error, 0)
    while len(lines) < MAX_FAULTS and (start := int(lines[-1]["loc"][0]) + 1) < len(value):
        try:
            handler(value[start:])
        except ValidationError as further:
            lines += _lines(further, start)
        else:
            break
    return ValidationError.from_exception_data(title, lines[:MAX_FAULTS])


def _lines(error: ValidationError, start: int) -> list[InitErrorDetails]:
    """Return the faults of the items of ``value[start:]`` at their places in the whole value."""
    lines: list[InitErrorDetails] = []
    for fault in error.errors(include_url=False):
        if not fault["loc"]:
            continue  # pydantic finds a list too short whose items are faulty
        place, *path = fault["loc"]
        told = PydanticCustomError(fault["type"], fault["msg"], fault.get("ctx"))
        lines.append({"type": told, "loc": (int(place) + start, *path), "input": fault["input"]})
    return lines
