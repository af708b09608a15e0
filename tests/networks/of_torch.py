"""Networks of torch's own modules, and of weights that belong to none."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tests.networks.network import Batch, Network

CLASSES, SAMPLES, STEPS, WIDTH = 5, 4, 6, 16


def labels(*shape: int) -> Tensor:
    return torch.randint(0, CLASSES, shape or (SAMPLES,))


def images(channels: int = 3, side: int = 12) -> Tensor:
    return torch.randn(SAMPLES, channels, side, side)


class Recurrent(nn.Module):
    """A recurrent layer over steps, and a head at the last one."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


class Cells(nn.Module):
    """A cell that is called step by step."""

    def __init__(self, cell: type[nn.RNNCellBase]) -> None:
        super().__init__()
        self.cell, self.head = cell(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class Language(nn.Module):
    """A head that shares its weight with the embedding; a class for every token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(CLASSES, WIDTH)
        block = nn.TransformerEncoderLayer(WIDTH, 2, 2 * WIDTH, batch_first=True)
        self.encoder = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, CLASSES, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(ids)))


class Translation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Transformer(WIDTH, 2, 1, 1, 2 * WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.both(x, x.flip(1))[:, 0])


class Experts(nn.Module):
    """Parameters ``(E, 2·inner, width)`` and ``(E, width, inner)``, as a mixture has them."""

    def __init__(self, experts: int = 3, inner: int = 12) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.randn(experts, 2 * inner, WIDTH) / 4)
        self.down_proj = nn.Parameter(torch.randn(experts, WIDTH, inner) / 4)

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        gate, up = torch.einsum("bi,eoi->ebo", x, self.gate_up_proj).chunk(2, -1)
        made = torch.einsum("ebi,eoi->ebo", nn.functional.silu(gate) * up, self.down_proj)
        return torch.einsum("be,ebo->bo", shares, made)


class Mixture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, 3)
        self.experts = Experts()
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.experts(x, self.router(x).softmax(-1)))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.deep = nn.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(2 * WIDTH, WIDTH, 2, stride=2)
        self.head = nn.Conv2d(2 * WIDTH, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        skipped = torch.relu(self.down(x))
        raised = torch.relu(self.up(torch.relu(self.deep(skipped))))
        return self.head(torch.cat([skipped, raised], 1))


class StdConv2d(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, self.weight - mean, self.bias)


def normed_conv(*sides: int) -> nn.Module:
    return parametrizations.weight_norm(nn.Conv1d(*sides, padding=1))


def mlp() -> tuple[nn.Module, Batch]:
    net = nn.Sequential(nn.Linear(WIDTH, 32), nn.ReLU(), nn.Linear(32, CLASSES))
    return net, (torch.randn(SAMPLES, WIDTH), labels())


def grouped_cnn() -> tuple[nn.Module, Batch]:
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 12, 3, groups=12),
        nn.Conv2d(12, 24, 1), nn.ReLU(), nn.Conv2d(24, 16, 3, groups=4), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(16, CLASSES),
    )  # fmt: skip
    return net, (images(), labels())


def standardised_cnn() -> tuple[nn.Module, Batch]:
    net = nn.Sequential(
        StdConv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(12, CLASSES),
    )  # fmt: skip
    return net, (images(), labels())


def spectral_discriminator() -> tuple[nn.Module, Batch]:
    net = nn.Sequential(
        parametrizations.spectral_norm(nn.Conv2d(3, 12, 3)), nn.LeakyReLU(0.2),
        nn.Conv2d(12, 12, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, CLASSES),
    )  # fmt: skip
    return net, (images(), labels())


def temporal_cnn() -> tuple[nn.Module, Batch]:
    net = nn.Sequential(
        normed_conv(WIDTH, 24, 3), nn.ReLU(), normed_conv(24, 24, 3), nn.AdaptiveAvgPool1d(1),
        nn.Flatten(), nn.Linear(24, CLASSES),
    )  # fmt: skip
    return net, (torch.randn(SAMPLES, WIDTH, STEPS), labels())


def volume_cnn() -> tuple[nn.Module, Batch]:
    net = nn.Sequential(
        nn.Conv3d(2, 8, 3, padding=1), nn.ReLU(), nn.ConvTranspose3d(8, 8, 2, groups=2),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, CLASSES),
    )  # fmt: skip
    return net, (torch.randn(SAMPLES, 2, 5, 5, 5), labels())


def language() -> tuple[nn.Module, Batch]:
    return Language(), (labels(SAMPLES, STEPS), labels(SAMPLES, STEPS))


def steps_for(net: nn.Module) -> tuple[nn.Module, Batch]:
    return net, (torch.randn(SAMPLES, STEPS, WIDTH), labels())


def networks() -> Iterator[Network]:
    made = {
        "mlp": mlp,
        "grouped-cnn": grouped_cnn,
        "standardised-cnn": standardised_cnn,
        "spectral-discriminator": spectral_discriminator,
        "weight-norm-tcn": temporal_cnn,
        "volume-cnn": volume_cnn,
        "unet": lambda: (UNet(), (images(), labels(SAMPLES, 12, 12))),
        "lstm": lambda: steps_for(
            Recurrent(nn.LSTM(WIDTH, 12, 2, bidirectional=True, batch_first=True), 24)
        ),
        "lstm-projected": lambda: steps_for(
            Recurrent(nn.LSTM(WIDTH, 12, proj_size=6, batch_first=True), 6)
        ),
        "gru": lambda: steps_for(Recurrent(nn.GRU(WIDTH, 12, batch_first=True), 12)),
        "rnn": lambda: steps_for(Recurrent(nn.RNN(WIDTH, 12, batch_first=True), 12)),
        "lstm-cell": lambda: steps_for(Cells(nn.LSTMCell)),
        "gru-cell": lambda: steps_for(Cells(nn.GRUCell)),
        "transformer-lm-tied": language,
        "transformer": lambda: steps_for(Translation()),
        "mixture-of-experts": lambda: (Mixture(), (torch.randn(SAMPLES, WIDTH), labels())),
    }
    for name, make in made.items():
        yield Network(name, "torch", make)
