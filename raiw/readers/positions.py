"""Vectors that each layer of a torch module is applied to for one input."""

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from raiw.errors import InvalidSpec
from raiw.readers.adapters import without_adapters
from raiw.readers.families import Family, family_of, joined


def count_positions(model: Any, input_size: tuple[int, ...]) -> Counter[str]:
    """Count the vectors that each layer is applied to for one input, by the layer's name.

    Raises
    ------
    InvalidSpec
        The model does not run on an input of that size.
    """
    tensors = (*model.parameters(), *model.buffers())
    try:
        # Tensors on "meta" have a shape and no values: this costs neither memory nor time.
        twin = copy.deepcopy(model, {id(t): t.detach().to("meta") for t in tensors})
        return _count(twin.eval(), input_size)
    except Exception:  # noqa: BLE001 -- it asks for values, or makes tensors of its own: run it with them
        modes = [(module, module.training) for module in model.modules()]
    try:
        return _count(model.eval(), input_size)
    except Exception as error:
        raise InvalidSpec(
            f"the model does not run on one input of size {input_size}: {error}; without "
            f"input_size positions are not counted"
        ) from error
    finally:
        for module, training in modes:
            module.training = training


def _count(model: Any, input_size: tuple[int, ...]) -> Counter[str]:
    counts: Counter[str] = Counter()
    hooks = [
        module.register_forward_hook(_counter(path, family, counts), with_kwargs=True)
        for path, module in model.named_modules()
        if (family := family_of(module)) is not None
    ]
    try:
        model(next(model.parameters()).detach().new_zeros((1, *input_size)))
    finally:
        for hook in hooks:
            hook.remove()
    return counts


def _counter(path: str, family: Family, counts: Counter[str]) -> Callable[..., None]:
    """Return the forward hook that counts the vectors of a module's calls."""

    def count(module: Any, args: Any, named: Mapping[str, Any], output: Any) -> None:
        for leaf, vectors in family.vectors(module, args, named, output).items():
            counts[without_adapters(joined(path, leaf)) or "weight"] += vectors

    return count
