"""Masks on Keras 3 models, on any backend: a constraint on every masked kernel.

::

    raiw.applying.keras.apply(model, masks)
    model.fit(x, y)

Zeros survive saving and loading, the constraint does not: apply again after loading.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from raiw.applying.kernels import kernel_mask
from raiw.applying.names import match_names
from raiw.errors import GateFailed
from raiw.graphs import Bools
from raiw.masks import MaskSet, load
from raiw.specs.layers import Conv

if TYPE_CHECKING:
    import keras


class KeepEdges:
    """The constraint that sets pruned weights to zero after every update."""

    def __init__(self, kept: Bools) -> None:
        self.kept = kept

    def __call__(self, weight: Any) -> Any:
        """Return the weight with zeros where it is pruned."""
        from keras import ops

        values = ops.convert_to_tensor(weight)
        return ops.where(self.kept, values, ops.zeros_like(values))


def apply(model: "keras.Model", masks: MaskSet | str | Path, *, strict: bool = True) -> None:
    """Zero the pruned weights of a model and hold them at zero while it is trained.

    A layer of the masks is named like the Keras layer, with the names of nested models before it
    where these are needed: ``encoder.conv1``. Kernels are ``(*taps, in/groups, out)``, those of
    transposed convolutions ``(*taps, out, in)``.

    Raises
    ------
    InvalidInput
        A mask has no kernel while ``strict`` is set, or one of another shape.
    """
    masks = masks if isinstance(masks, MaskSet) else load(masks)
    kernels = _by_name(model)
    fitting = []
    for layer, name in match_names(masks, kernels, ("kernel",), strict=strict).items():
        variable, mask = kernels[name], masks[layer]
        transposed = isinstance(mask.layer, Conv) and mask.layer.transposed
        kept = kernel_mask(mask, tuple(variable.shape), name, outputs_first=transposed)
        fitting.append((variable, KeepEdges(kept)))
    for variable, constraint in fitting:
        variable.constraint = constraint
        variable.assign(constraint(variable))
    if model.compiled:
        # A step that was traced before knows no constraint.
        model.make_train_function(force=True)


def check(model: "keras.Model") -> None:
    """Make sure that every pruned weight is zero.

    Raises
    ------
    GateFailed
        One is not, or the model holds no masks; the message names the kernel.
    """
    from keras import ops

    held = [each for each in model.trainable_variables if isinstance(each.constraint, KeepEdges)]
    if not held:
        raise GateFailed(f"model {model.name!r} holds no masks; apply them again after loading")
    for variable in held:
        values = ops.convert_to_tensor(variable)
        count = int(ops.count_nonzero(ops.subtract(values, variable.constraint(values))))
        if count:
            raise GateFailed(f"{variable.path}: {count} pruned weights are not zero")


def _by_name(model: "keras.Model") -> dict[str, Any]:
    """Return trainable variables by every end of their path that no other has."""
    ends: dict[str, list[Any]] = {}
    for variable in model.trainable_variables:
        parts = variable.path.split("/")
        for start in range(len(parts)):
            ends.setdefault(".".join(parts[start:]), []).append(variable)
    return {name: found[0] for name, found in ends.items() if len(found) == 1}
