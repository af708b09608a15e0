"""L1 filter pruning: remove a share of every layer's smallest filters.

Source: Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017. The paper chooses the share of
each layer by its sensitivity, which ``keep`` says; one share for all is the simplest schedule.
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
        group.name: remove_lowest(
            group, filter_norms(group), network.surplus(group, channel_sparsity)
        )
        for group in network.prunable
    }
    return Selection(spread(network.prunable, channels), {})
