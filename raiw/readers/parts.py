"""One parameter, several layers: projections fused, gates of a recurrent cell, experts stacked.

Each part has a graph of its own: a mask over all of them together might keep much of one and
little of another. Parts are told by the classes of torch, timm and transformers, by name.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import accumulate
from typing import Any

from raiw.readers.layers import BY_HEAD, GATE_UP, QKV, LayerDocument, linear
from raiw.readers.module_layer import ModuleLayer

Outputs = slice | list[int]
"""Which outputs of a layer are a part's."""

Division = Callable[[Any, int, int], dict[str, Outputs]]
"""Returns the outputs of each part, given ``(parent, outputs, inputs)``; nothing for no parts."""


def equal(names: Sequence[str], outputs: int) -> dict[str, Outputs]:
    """Return equal blocks of outputs, one after the other; nothing where they do not divide.

    >>> equal(("q", "k"), 6)
    {'q': slice(0, 3, None), 'k': slice(3, 6, None)}
    """
    size, rest = divmod(outputs, max(1, len(names)))
    if rest or not size:
        return {}
    return {name: slice(i * size, (i + 1) * size) for i, name in enumerate(names)}


def part_documents(document: LayerDocument, parts: dict[str, Outputs]) -> Iterator[LayerDocument]:
    """Yield the documents of the parts of a linear layer, or its own where it has none."""
    if not parts:
        yield document
    for name, outputs in parts.items():
        chosen = range(document["out_features"])[outputs] if isinstance(outputs, slice) else outputs
        yield document | {"name": f"{document['name']}.{name}", "out_features": len(chosen)}


def divided(layer: ModuleLayer, parts: dict[str, Outputs]) -> Iterator[ModuleLayer]:
    """Yield the layers that the groups of outputs of a linear layer are, or itself."""
    axis: tuple[slice, ...] = (slice(None),) if layer.inputs_first else ()
    places = [(*layer.where, *axis, outputs) for outputs in parts.values()] or [layer.where]
    whole = layer.whole or (layer.name if parts else "")
    documents = part_documents(layer.document, parts)
    for document, where in zip(documents, places, strict=True):
        yield replace(layer, document=document, where=where, whole=whole)


def stacked(module: Any, name: str, leaf: str, *, inputs_first: bool) -> Iterator[ModuleLayer]:
    """Yield the layers that a parameter ``(E, out, in)``, or ``(E, in, out)``, stacks."""
    count, *sides = getattr(module, leaf).shape
    for place in range(count):
        out_in = tuple(sides[::-1] if inputs_first else sides)
        document = linear(f"{name}.{place}", out_in, transposed=inputs_first)
        yield ModuleLayer(document, module, leaf, inputs_first, where=(place,), whole=name)


def experts(path: str, module: Any) -> Iterator[ModuleLayer]:
    """Yield the layers of a mixture's experts, which lie in parameters of three axes.

    ``gate_up_proj`` is ``(E, 2·inner, width)`` beside a ``down_proj`` of ``(E, width, inner)``, or
    ``(E, width, 2·inner)`` beside ``(E, inner, width)``.
    """
    _, first, second = module.gate_up_proj.shape
    inputs_first = tuple(module.down_proj.shape[1:]) == (second // 2, first)
    outputs = second if inputs_first else first
    halves = equal(GATE_UP, outputs)
    if type(module).__name__ in ALTERNATING:
        halves = {name: slice(place, None, 2) for place, name in enumerate(GATE_UP)}
    for leaf, parts in (("gate_up_proj", halves), ("down_proj", {})):
        name = f"{path}.{leaf}".strip(".")
        for layer in stacked(module, name, leaf, inputs_first=inputs_first):
            yield from divided(layer, parts)


def are_experts(module: Any) -> bool:
    """Whether a module holds experts as :func:`experts` reads them."""
    sides = [
        tuple(getattr(getattr(module, leaf, None), "shape", ()))
        for leaf in ("gate_up_proj", "down_proj")
    ]
    if not type(module).__name__.endswith("Experts") or {len(side) for side in sides} != {3}:
        return False
    (_, first, second), down = sides[0], sides[1][1:]
    return down in {(second, first // 2), (second // 2, first)}


def fused_children(parent: Any, class_name: str) -> Iterator[tuple[Any, Division]]:
    """Yield the children of a module that are several layers in one, and how they divide."""
    package = class_name.partition(".")[0]
    for child, by_class in FUSED.get(package, {}).items():
        split = next((split for part, split in by_class.items() if part in class_name), None)
        module = reduce(lambda at, leaf: getattr(at, leaf, None), child.split("."), parent)
        if module is not None and split is not None:
            yield module, split


def _blocks(*names: str) -> Division:
    return lambda _parent, outputs, _inputs: equal(names, outputs)


def _projections(_parent: Any, outputs: int, inputs: int) -> dict[str, Outputs]:
    """Return queries, keys and values of one width each; across two sequences keys and values."""
    return equal({3 * inputs: QKV, 2 * inputs: QKV[1:]}.get(outputs, ()), outputs)


def _interleaved(names: Sequence[str], sizes: Sequence[int], outputs: int) -> dict[str, Outputs]:
    """Return parts of which so many outputs each lie together, over and over again.

    >>> _interleaved(("key", "value"), (1, 2), 6)
    {'key': [0, 3], 'value': [1, 2, 4, 5]}
    """
    period = sum(sizes)
    if not period or outputs % period:
        return {}
    ends = [0, *accumulate(sizes)]
    return {
        name: [first + i for first in range(0, outputs, period) for i in range(*ends[at : at + 2])]
        for at, name in enumerate(names)
    }


def _by_head(parent: Any, outputs: int, _inputs: int) -> dict[str, Outputs]:
    """Return what lies as ``(heads, 3, size)``."""
    size = getattr(parent, "head_dim", None) or parent.head_size
    return _interleaved(BY_HEAD, (size,) * len(BY_HEAD), outputs)


def _of_falcon(parent: Any, outputs: int, _inputs: int) -> dict[str, Outputs]:
    """Return groups of heads, each all its queries, then the key and the value they share."""
    groups = parent.num_heads
    if parent.new_decoder_architecture:
        groups = parent.num_kv_heads
    elif parent.multi_query:
        groups = 1
    size = parent.head_dim
    return _interleaved(BY_HEAD, (outputs // groups - 2 * size, size, size), outputs)


def _of_codegen(parent: Any, outputs: int, _inputs: int) -> dict[str, Outputs]:
    """Return queries, values and keys of each of the machines that it was trained on."""
    query, key, value = BY_HEAD
    size = outputs // (len(BY_HEAD) * getattr(parent, "mp_num", 4))
    return _interleaved((query, value, key), (size,) * len(BY_HEAD), outputs)


def _of_levit(parent: Any, outputs: int, _inputs: int) -> dict[str, Outputs]:
    """Return what lies by head: values are wider than keys; queries may be elsewhere."""
    sizes = (parent.key_dim, parent.key_dim, parent.val_dim)
    first = 0 if outputs == parent.num_heads * sum(sizes) else 1
    return _interleaved(BY_HEAD[first:], sizes[first:], outputs)


def _queries_first(parent: Any, outputs: int, _inputs: int) -> dict[str, Outputs]:
    """Return all queries, then keys and values, which may be fewer."""
    queries = parent.config.num_attention_heads * parent.head_dim
    ends = (0, queries, (queries + outputs) // 2, outputs)
    return {name: slice(*ends[place : place + 2]) for place, name in enumerate(QKV)}


FUSED: dict[str, dict[str, dict[str, Division]]] = {
    "timm": {
        "qkv": dict.fromkeys(
            (
                *("layers.attention.", "beit.", "cait.", "coat.", "convit.", "davit.", "edgenext."),
                *("eva.", "gcvit.", "hiera.", "hieradet_sam2.", "metaformer.", "mvitv2.", "nest."),
                *("swin_transformer", "twins.", "vision_transformer", "volo.", "xcit."),
            ),
            _projections,
        ),
        "qkv.linear": {".levit.": _of_levit},
        "kv.linear": {".levit.": _of_levit},
    },
    "transformers": {
        "qkv": dict.fromkeys(
            (
                *(".timesformer.", ".vitdet.", ".sam.", ".sam_hq.", ".seggpt.", ".blip."),
                *(".blip_2.", ".instructblip.", ".qwen2_vl.", ".qwen2_5_vl.", ".qwen3_vl."),
            ),
            _projections,
        ),
        "c_attn": dict.fromkeys(
            (".gpt2.", ".decision_transformer.", ".imagegpt.", ".openai."), _projections
        ),
        "Wqkv": dict.fromkeys((".mpt.", ".modernbert"), _blocks(*QKV)),
        "qkv_proj": {
            **dict.fromkeys((".phi3.", ".phi4_multimodal."), _queries_first),
            ".codegen.": _of_codegen,
            ".minimax.": _by_head,
        },
        "query_key_value": {
            **dict.fromkeys((".bloom.", ".gpt_neox.", ".persimmon."), _by_head),
            ".falcon.": _of_falcon,
        },
        "gate_up_proj": {"MLP": _blocks(*GATE_UP)},
    },
}
"""How layers of several parts divide: by package, by the path of the child below its parent, and by
what the full name of the parent's class contains."""

ALTERNATING = ("GptOssExperts",)
"""Experts whose gates and values alternate."""
