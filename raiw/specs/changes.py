"""What changed from one plan to another, layer by layer."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from raiw.errors import InvalidInput

FORMAT = "raiw.plan@1"
FIELDS = (
    "kind",
    "shape",
    "groups",
    "group_outputs",
    "group_inputs",
    "edges",
    "in_degree",
    "out_degree",
)
"""Of a planned layer: what is compared."""


class SavedLayer(BaseModel):
    """A layer of such a plan; what a newer raiw adds is kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    group_inputs: int = 1
    """Plans of before it was there do not say it."""


class SavedPlan(BaseModel):
    """Of a plan that was saved: what is compared."""

    model_config = ConfigDict(frozen=True)

    algorithm: str
    content_key: str
    weights: int
    layers: list[SavedLayer]


@dataclass(frozen=True, slots=True)
class Change:
    """A layer that is not the same."""

    layer: str
    field: str
    """``layer`` where only one of them has it."""
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class PlanChanges:
    """How two plans differ."""

    fields: tuple[Change, ...]
    """Of the network, under the layer name ``""``: algorithm, weights, content key."""
    layers: tuple[Change, ...]

    @property
    def same(self) -> bool:
        """Whether both lead to the same masks."""
        return not self.fields and not self.layers

    def to_json(self) -> dict[str, Any]:
        """Return the changes as JSON-serialisable values."""
        return asdict(self) | {"same": self.same}


def compare_plans(a: Mapping[str, Any], b: Mapping[str, Any]) -> PlanChanges:
    """Compare two plans, in the form that ``POST /v1/plan`` answers.

    Equal plans may still have different content keys: the seed, the scores or a note differ.
    """
    fields = tuple(
        Change("", name, a[name], b[name])
        for name in ("algorithm", "weights", "content_key")
        if a[name] != b[name]
    )
    first, second = ({layer["name"]: layer for layer in plan["layers"]} for plan in (a, b))
    changes = []
    for name in [*first, *(name for name in second if name not in first)]:
        if name in first and name in second:
            changes += [
                Change(name, field, first[name].get(field), second[name].get(field))
                for field in FIELDS
                if _plain(first[name].get(field)) != _plain(second[name].get(field))
            ]
        else:
            changes.append(Change(name, "layer", name in first, name in second))
    return PlanChanges(fields, tuple(changes))


def plan_file(plan: Mapping[str, Any]) -> bytes:
    """Return the file of a plan: a line for every value, so that a change is easy to read."""
    text = json.dumps({"format": FORMAT, **plan}, indent=2) + "\n"
    return text.encode()


def saved_plan(path: Path) -> dict[str, Any] | None:
    """Return the plan in a file, None if the file is something else.

    Raises
    ------
    InvalidInput
        It says that it is a plan, and is none.
    """
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        return None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return None
    try:
        return SavedPlan.model_validate(document).model_dump()
    except ValidationError as error:
        fault = error.errors()[0]
        where = "/".join(map(str, fault["loc"]))
        raise InvalidInput(f"{str(path)!r} is a damaged plan: {where}: {fault['msg']}") from None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
