"""The initialisation of the residual and densely connected networks."""

from torch import nn


def kaiming(network: nn.Module) -> None:
    """Draw the convolutions from N(0, 2/n), ``n`` being the weights of one input channel.

    Source: He et al., Delving Deep into Rectifiers, ICCV 2015, Eq. 14, which keeps the variance of
    gradients. Linear layers keep torch's own draw, batch norms begin as the identity.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
