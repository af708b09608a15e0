"""How a layer's weights are arranged in their array, and the edges of its graph.

A weight is ``(out, in/groups, *kernel)``; where inputs come first, as in a transposed convolution,
it is ``(in, out/groups, *kernel)``. Group ``g`` owns the ``g``-th share of both sides.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the web process reads specs without numpy
    from numpy.typing import NDArray


def by_group(
    weight: "NDArray[Any]", groups: int = 1, *, inputs_first: bool = False
) -> "NDArray[Any]":
    """View a weight as ``(groups, out/groups, in/groups, taps)``.

    >>> import numpy as np
    >>> by_group(np.zeros((4, 3, 5, 5)), 2, inputs_first=True).shape
    (2, 3, 2, 25)
    """
    grouped = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return grouped.swapaxes(1, 2) if inputs_first else grouped


def by_edge(
    weight: "NDArray[Any]", groups: int = 1, *, inputs_first: bool = False
) -> "NDArray[Any]":
    """Return a weight as ``(out, in/groups, taps)``: the weights of every edge of its graph.

    >>> import numpy as np
    >>> by_edge(np.zeros((4, 3, 5, 5)), 2, inputs_first=True).shape
    (6, 2, 25)
    """
    grouped = by_group(weight, groups, inputs_first=inputs_first)
    return grouped.reshape(-1, *grouped.shape[2:])


def by_weight(
    edges: "NDArray[Any]", groups: int = 1, *, inputs_first: bool = False
) -> "NDArray[Any]":
    """Return ``(out, in/groups)`` values of edges with the first two axes of the weight.

    >>> import numpy as np
    >>> by_weight(np.zeros((6, 2)), 2, inputs_first=True).shape
    (4, 3)
    """
    if not inputs_first:
        return edges
    out, n_in = edges.shape
    grouped = edges.reshape(groups, out // groups, n_in).swapaxes(1, 2)
    return grouped.copy().reshape(groups * n_in, out // groups)
