"""L1 filter pruning: remove the same share of every layer's smallest filters.

Source: Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017. The paper chooses the share of
each layer by its sensitivity; one share for all is the simplest schedule.
"""

from raiw.pruning.prunable import (
    PrunableModel,
    Selection,
    check_sparsity,
    filter_norms,
    remove_lowest,
    spread,
)


def select(network: PrunableModel, *, channel_sparsity: float) -> Selection:
    """Keep in each layer the filters of largest ``sum |w|``; added filters count together."""
    check_sparsity(channel_sparsity)
    channels = {
        group.name: remove_lowest(group, filter_norms(group), round(channel_sparsity * group.size))
        for group in network.prunable
    }
    return Selection(spread(network.prunable, channels), {})
