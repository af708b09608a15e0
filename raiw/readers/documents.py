"""Documents in YAML, JSON or TOML."""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from raiw import catalogue
from raiw.errors import InvalidSpec, NotFound, TooLarge
from raiw.names import nearest

MAX_DOCUMENT_BYTES = 4 << 20
_MOST_NESTED = 100
"""Lists and mappings within each other; libyaml gives up at a thousand."""


def read_document(source: str | Path) -> Any:
    """Decode a YAML, JSON or TOML document by its suffix; YAML (which includes JSON) otherwise."""
    if str(source) == "-":
        return decode_document(sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1), "standard input")
    path = Path(source)
    if not path.is_file():
        hint = nearest(str(source), list(catalogue.names()))
        raise NotFound(f"no spec file and no catalogue name {str(source)!r}{hint}")
    with path.open("rb") as file:
        return decode_document(file.read(MAX_DOCUMENT_BYTES + 1), path.name)


def decode_document(data: bytes, name: str) -> Any:
    """Decode a document's bytes; ``name`` decides the form and stands in messages."""
    if len(data) > MAX_DOCUMENT_BYTES:
        raise TooLarge(
            f"{name} is larger than {MAX_DOCUMENT_BYTES} bytes", limit=MAX_DOCUMENT_BYTES
        )
    try:
        text = data.decode("utf-8")
        if name.endswith(".toml"):
            return tomllib.loads(text)
        if name.endswith(".json"):
            return json.loads(text)
        return read_yaml(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise InvalidSpec(f"{name} cannot be read: {error}") from None


def read_yaml(text: str) -> Any:
    """Decode YAML, or one value of it.

    >>> read_yaml("{density: 1e-2, rules: []}")
    {'density': 0.01, 'rules': []}

    Raises
    ------
    yaml.YAMLError
        It is not YAML, gives a key twice, or is nested too deep.
    """
    value = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 -- a SafeLoader, see below
    _refuse_depth(value)
    return value


def _refuse_depth(value: Any) -> None:
    level = {id(value): value}
    for _ in range(_MOST_NESTED):
        # By identity, as aliases may stand for one value any number of times.
        level = {id(one): one for each in level.values() for one in _collections(each)}
        if not level:
            return
    raise yaml.YAMLError(f"lists and mappings are nested deeper than {_MOST_NESTED} levels")


def _collections(value: Any) -> list[Any]:
    members = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    return [one for one in members if isinstance(one, dict | list)]


class _StrictLoader(yaml.CSafeLoader):
    """PyYAML's safe loader, which also refuses a key given twice and knows 1e-2 for a number.

    It is that of libyaml, which takes a third of the time.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 -- PyYAML's signature
        """Build a mapping after looking for doubled keys, which YAML itself forbids."""
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value) and not any(
            key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value
        ):
            raise yaml.constructor.ConstructorError(
                None, None, "a key is given twice", node.start_mark
            )
        return mapping


# YAML 1.1, which PyYAML reads, asks for a dot and a sign; JSON and YAML 1.2 do not.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
