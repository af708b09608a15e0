"""Attention by whole heads: the layers that make queries, keys and values, and the one that reads.

Without a head all others compute what they did, so heads are the channels of attention that can
go. A trace shows which layers belong together; the module around them, or the caller, says how
many heads they have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from torch import nn

from raiw.pruning.groups import Group, Member, Places, layer_of

HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads")
KEY_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads")
HEAD_SIZES = ("head_dim", "attention_head_size", "key_value_proj_dim", "head_size", "dim_head")
WIDTHS = ("attn_dim", "all_head_size", "inner_dim", "split_size", "embed_dim")
"""Attributes under which attention modules keep these numbers."""


Parts = tuple[tuple[int, int], ...]
"""Consecutive projections in the outputs of one layer: how many heads, and places of each."""


@dataclass(frozen=True, slots=True)
class Heads:
    """How many heads there are, of which size, and how many can go one by one."""

    number: int
    size: int
    units: int
    """Heads of keys, where several heads of queries share one."""

    def of(self, number: int, width: int = 1) -> Places:
        """Return the unit of each place, for so many heads of ``width`` places each."""
        return np.repeat(np.arange(number) // (number // self.units), width)


def head_groups(
    model: nn.Module, members: Sequence[Member], num_heads: Mapping[str, int]
) -> Iterator[Group]:
    """Yield the layers of a traced group as heads of attention, in each way that they may lie.

    With ``W`` inputs of the layer that reads the heads, ``h = W / heads`` is the size of one. A
    layer of ``k·W`` outputs makes k projections, each a head after the other or each head's k
    together; one of fewer than ``W`` keys or values that several heads of queries share; one of
    ``W + 2·j·h`` queries and such keys and values. Where there is no attention, a layer of ``k·W``
    outputs makes what is multiplied, as gates are: one of each k outputs is read as heads of one
    place are. Nothing is yielded where there is neither.
    """
    filters = [member for member in members if member.role == "filter"]
    readers = [member for member in members if member.role == "input"]
    owners = sorted({member.name.rpartition(".")[0] for member in filters})
    widths = {member.size for member in readers}
    if len(widths) != 1 or len(readers) != len(owners) or any(map(_grouped, (*filters, *readers))):
        return
    width = widths.pop()
    attentions = {path: model.get_submodule(path) for path in owners}
    told = next((num_heads[one.name] for one in filters if one.name in num_heads), None)
    numbers = {told or _number(module, width) for module in attentions.values()}
    number = numbers.pop()
    times = [divmod(member.size, width) for member in filters]
    if number is None and not any(rest for _, rest in times) and max(times) > (1, 0):
        number = width
    if numbers or number is None or width % number:
        return
    held = (*filters, *readers)
    for parts in product(*(_projections(one.size, number, width // number) for one in held)):
        units = min(count for part in parts for count, _ in part)
        if all(count % units == 0 for part in parts for count, _ in part):
            heads = Heads(number, width // number, units)
            layers = [
                _placed(member, np.concatenate([heads.of(*projection) for projection in part]))
                for member, part in zip(held, parts, strict=True)
            ]
            yield Group(units, (*layers, *_scales(members, heads), *_attributes(attentions, heads)))


def _grouped(member: Member) -> bool:
    layer = layer_of(member.module)
    return layer is not None and layer.groups > 1


def _number(attention: nn.Module, width: int) -> int | None:
    """Return the heads that a module says it has."""
    for name in HEADS:
        if (number := _count(attention, name)) is not None:
            return number
    for name in HEAD_SIZES:
        if size := _count(attention, name):
            return width // size
    return None


def _count(module: nn.Module, name: str) -> int | None:
    value = getattr(module, name, None)
    return value if isinstance(value, int) and value > 0 else None


def _projections(outputs: int, number: int, size: int) -> list[Parts]:
    """Return the projections that a layer of so many outputs may make, the likeliest first."""
    blocks, rest = divmod(outputs, size)
    if rest:
        return []
    readings: list[Parts] = []
    times, rest = divmod(blocks, number)
    if rest == 0:
        readings.append(((number, size),) * times)
        if times > 1:
            readings.append(((number, times * size),))
    elif number % blocks == 0:
        readings.append(((blocks, size),))
    keys, rest = divmod(blocks - number, 2)
    if 0 < keys < number and rest == 0:
        readings.append(((number, size), (keys, size), (keys, size)))
    return readings


def _placed(member: Member, channels: Places) -> Member:
    return replace(member, indices=np.arange(member.size), channels=channels)


def _scales(members: Sequence[Member], heads: Heads) -> Iterator[Member]:
    """Yield what has one place for each head, or for each place of every head."""
    for member in members:
        if member.role == "scale" and member.tensors:
            if member.size == heads.number:
                yield _placed(member, heads.of(heads.number))
            elif member.size == heads.number * heads.size:
                yield _placed(member, heads.of(heads.number, heads.size))


def _attributes(attentions: Mapping[str, nn.Module], heads: Heads) -> Iterator[Member]:
    """Yield the numbers of heads and places that the modules keep."""
    counted = (
        (HEADS, heads.number, 1),
        (KEY_HEADS, heads.units, 1),
        (WIDTHS, heads.number, heads.size),
    )
    for path, module in attentions.items():
        for names, number, width in counted:
            places = heads.of(number, width)
            for name in names:
                if _count(module, name) == len(places):
                    indices = np.arange(len(places))
                    yield Member(path, module, "scale", len(places), indices, places, (), (name,))
