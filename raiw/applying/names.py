"""Which parameter of a model a layer of a mask set names; no framework is imported."""

from collections.abc import Collection, Iterable

from raiw.errors import InvalidInput
from raiw.names import nearest
from raiw.readers.adapters import plain

_SHOWN = 5


def match_names(
    layers: Collection[str], parameters: Iterable[str], leaves: tuple[str, ...], *, strict: bool
) -> dict[str, str]:
    """Return the parameter of every layer that has one, by layer name.

    A layer is named like its parameter, or like the module whose parameter is called as one of
    ``leaves``. Exact names count first, then names without what wrappers add.

    >>> match_names(["0", "fc.bias"], ["_orig_mod.0.weight", "fc.bias"], ("weight",), strict=True)
    {'0': '_orig_mod.0.weight', 'fc.bias': 'fc.bias'}

    Raises
    ------
    InvalidInput
        Some layer has no parameter and ``strict`` is set, or none has.
    """
    exact = {name: name for name in parameters}
    short = {plain(name): name for name in exact}
    found = {}
    for layer in layers:
        wanted = (layer, *(f"{layer}.{leaf}" for leaf in leaves))
        places = [exact.get(name) or short.get(plain(name)) for name in wanted]
        parameter = next((place for place in places if place is not None), None)
        if parameter is not None:
            found[layer] = parameter
    missing = [layer for layer in layers if layer not in found]
    if missing and (strict or not found):
        raise _not_found(missing, len(found), list(short), leaves)
    return found


def _not_found(
    missing: list[str], found: int, names: list[str], leaves: tuple[str, ...]
) -> InvalidInput:
    modules = [name.rpartition(".")[0] for name in names if name.rpartition(".")[2] in leaves]
    shown = ", ".join(f"{layer!r}{nearest(layer, modules + names)}" for layer in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    remedy = (
        f"rename the layers, or apply the other {found} with strict=False"
        if found
        else f"it has {', '.join(modules[:_SHOWN]) or 'none'}"
    )
    return InvalidInput(
        f"the model has no weight for the masks of {shown}{more}: {remedy}", layers=missing
    )
