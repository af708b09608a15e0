"""Masks in the layout of JAX and Keras, whose kernels end in inputs and outputs."""

from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.masks import Mask


def kernel_mask(mask: Mask, shape: tuple[int, ...], name: str, *, outputs_first: bool) -> Bools:
    """Return the booleans that broadcast to a kernel ``(*taps, in/groups, out)``.

    Parameters
    ----------
    shape, name
        Shape and name of the kernel.
    outputs_first
        The kernel is ``(*taps, out, in)``, as that of Keras' transposed convolution.

    Raises
    ------
    InvalidInput
        The kernel has another shape.
    """
    kept = mask.numpy() if outputs_first else mask.numpy().T
    if shape[-2:] != kept.shape:
        sides = "(out, in)" if outputs_first else "(in/groups, out)"
        hint = ": it is transposed" if shape[-2:] == kept.shape[::-1] else ""
        raise InvalidInput(
            f"layer {mask.name!r}: the mask is {sides} = {kept.shape}, parameter {name!r} is "
            f"{shape}{hint}",
            layer=mask.name,
        )
    return kept.reshape((1,) * (len(shape) - 2) + kept.shape)
