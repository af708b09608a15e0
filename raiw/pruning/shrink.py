"""Remove channels that a file or a caller names from a network: first by zeros, then for good."""

from torch import nn

from raiw.masks.channels import KeptFilters
from raiw.pruning.cutting import clear, cut
from raiw.pruning.guide import Guide
from raiw.pruning.running import Inputs
from raiw.pruning.tracing import find_groups


def silence(
    model: nn.Module, kept: KeptFilters, inputs: Inputs, guide: Guide | None = None
) -> None:
    """Set every weight of the removed channels to zero, in place.

    A removed channel's filters, its batch norms and the weights that read it become zero, so the
    network computes what it would without the channel. Arguments and errors are those of
    :func:`shrink`.
    """
    clear(model, find_groups(model, inputs, guide).fitting(kept))


def shrink(
    model: nn.Module, kept: KeptFilters, inputs: Inputs, guide: Guide | None = None
) -> nn.Module:
    """Return a copy of ``model`` without the channels that ``kept`` leaves out.

    Layers that ``kept`` does not name keep all their filters. The copy computes what
    :func:`silence` leaves of ``model``, with fewer weights and operations.

    Parameters
    ----------
    inputs
        An example batch to trace the network with.
    guide
        As it was when the channels were chosen.

    Raises
    ------
    InvalidInput
        A layer is unknown or cannot lose filters, a shape is wrong, or layers whose channels are
        added keep different ones.
    CannotPrune
        The network cannot be traced, or weights that are shared would come apart.
    """
    return cut(model, find_groups(model, inputs, guide).fitting(kept))
