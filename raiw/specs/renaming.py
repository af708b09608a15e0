"""A spec whose layers have other names."""

from collections.abc import Mapping
from typing import Any

from raiw.specs.crafting import LAYER_TARGETS, Craft
from raiw.specs.spec import Spec
from raiw.specs.targets import Deciding, deciding_rules


def renamed(spec: Spec, names: Mapping[str, str]) -> Spec:
    """Return a spec with some layers renamed; every layer keeps its edges.

    Globs may match other layers now, so each layer gets a rule of its own that says what those did
    that decided it.

    >>> layers = [{"name": "a", "kind": "linear", "in_features": 4, "out_features": 8}]
    >>> craft = {"degree": 2, "rules": [{"match": "a*", "edges": 5}]}
    >>> renamed(Spec.parse({"layers": layers, "craft": craft}), {"a": "fc"}).plan().layers[0].edges
    5
    """
    document = spec.canonical()
    document.pop("model", None)
    layers = [layer.model_dump(exclude_defaults=True) for layer in spec.layers]
    for layer in layers:
        layer["name"] = names.get(layer["name"], layer["name"])
    deciding = deciding_rules(spec.layers, spec.craft.rules)
    rules = [
        {"match": layer["name"]} | said
        for layer, own in zip(layers, deciding, strict=True)
        if (said := _said(spec.craft, own))
    ]
    craft = document.get("craft", {}) | {"rules": rules}
    return Spec.parse(document | {"layers": layers, "craft": craft})


def _said(craft: Craft, deciding: Deciding) -> dict[str, Any]:
    """Return what the rules of a layer say of it, as fields of one rule."""
    fields = {}
    if deciding.target is not None:
        rule = craft.rules[deciding.target]
        fields = rule.model_dump(include={*LAYER_TARGETS, "note"}, exclude_defaults=True)
    for field in ("group_outputs", "group_inputs"):
        position = getattr(deciding, field)
        if position is not None and not fields.get("dense"):
            fields[field] = getattr(craft.rules[position], field)
    return fields
