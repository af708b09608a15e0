"""What pydantic finds wrong, in our words: the value, the limit and what may stand there."""

from collections.abc import Callable, Mapping
from typing import Any

from raiw.names import clipped

_SHOWN_VALUE = 60

Context = Mapping[str, Any]

_WORDS: dict[str, Callable[[Context], str]] = {
    "model_type": lambda _: "must be a mapping of fields to values",
    "dict_type": lambda _: "must be a mapping of names to values",
    "model_attributes_type": lambda _: "must be a mapping of fields to values",
    "dataclass_type": lambda _: "must be a mapping of fields to values",
    "tuple_type": lambda _: "must be a list",
    "list_type": lambda _: "must be a list",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "must be a smaller whole number",
    "float_type": lambda _: "must be a number",
    "float_parsing": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "string_type": lambda _: "must be text",
    "none_required": lambda _: "must be null or left out",
    "literal_error": lambda of: f"must be {of['expected']}",
    "enum": lambda of: f"must be {of['expected']}",
    "greater_than": lambda of: f"must be more than {of['gt']}",
    "greater_than_equal": lambda of: f"must be at least {of['ge']}",
    "less_than": lambda of: f"must be less than {of['lt']}",
    "less_than_equal": lambda of: f"must be at most {of['le']}",
    "multiple_of": lambda of: f"must be a multiple of {of['multiple_of']}",
    "string_too_short": lambda of: f"must have at least {_count(of['min_length'], 'character')}",
    "string_too_long": lambda of: f"must have at most {_count(of['max_length'], 'character')}",
    "string_pattern_mismatch": lambda of: f"must match {of['pattern']}",
    "too_short": lambda of: f"must have at least {_count(of['min_length'], 'entry')}",
    "too_long": lambda of: f"must have at most {_count(of['max_length'], 'entry')}",
}
"""By pydantic's types of faults what must be; the value found follows."""


def told(fault: Mapping[str, Any]) -> str:
    """Return a fault of pydantic's report in our words.

    Examples
    --------
    >>> told({"type": "greater_than_equal", "input": -1, "ctx": {"ge": 0}, "msg": ""})
    'must be at least 0, not -1'
    """
    kind, context = fault["type"], fault.get("ctx") or {}
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "is missing"
    if kind == "union_tag_not_found":
        return f"has no {context['discriminator']}, which says what it is"
    if kind == "union_tag_invalid":
        known, tag = context["expected_tags"], _shown(context["tag"])
        return f"{context['discriminator']} must be one of {known}, not {tag}"
    try:
        words = _WORDS[kind](context)
    except KeyError:  # a fault of our own, in our own words
        return str(fault["msg"])
    return f"{words}, not {_shown(fault['input'])}"


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return clipped(repr(value), _SHOWN_VALUE).encode(errors="backslashreplace").decode()


def _count(number: int, word: str) -> str:
    plural = f"{word.removesuffix('y')}ies" if word.endswith("y") else f"{word}s"
    return f"{number} {word if number == 1 else plural}"
