"""Gradient signal preservation: ``theta · (H g)``, high where a weight keeps gradients flowing.

``g`` is the mean gradient of the loss and ``H`` its Hessian. The paper removes the weights of
largest ``-theta · (H g)``, so what it keeps scores high here. Scores may be negative.

Source: Wang et al., Picking Winning Tickets before Training by Preserving Gradient Flow, ICLR 2020.
"""

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from raiw.graphs import Floats
from raiw.importance.averages import mean_loss_gradients
from raiw.importance.batches import size_of
from raiw.importance.scored_model import ScoredModel, edges_of
from raiw.importance.taps import added


def measure(network: ScoredModel) -> dict[str, Floats]:
    """Return the sum over the taps of ``theta · (H g)``; walks the data twice."""
    means = [
        mean.to(parameter.dtype)
        for mean, parameter in zip(mean_loss_gradients(network), network.parameters, strict=True)
    ]
    products = [torch.zeros_like(mean, dtype=torch.float64) for mean in means]
    samples = 0
    for batch in network.batches():
        count = size_of(batch)
        with sdpa_kernel(SDPBackend.MATH):  # the fused attention kernels have no second derivative
            loss = network.mean_loss(batch) * count
        gradients = network.gradients(loss, create_graph=True)
        flow = torch.stack([(g * m).sum() for g, m in zip(gradients, means, strict=True)]).sum()
        for product, part in zip(products, network.gradients(flow), strict=True):
            product.add_(part)
        samples += count
    return {
        layer.name: added(edges_of(layer, layer.weight) * edges_of(layer, product) / samples)
        for layer, product in network.by_layer(products)
    }
