"""Networks of timm by their names, on small images."""

import importlib
from collections.abc import Iterator

import torch
from torch import nn

from tests.networks.network import Batch, Network

SAMPLES, CLASSES = 2, 10

SMALL = (
    *("resnet10t", "resnet18", "resnext26ts", "seresnext26t_32x4d", "ecaresnet26t", "regnetx_002"),
    *("regnety_002", "densenet121", "mobilenetv2_050", "mobilenetv3_small_050", "efficientnet_b0"),
    *("mnasnet_small", "ghostnet_050", "repvgg_a0", "vgg11", "dla46_c", "resnetv2_50x1_bit"),
    *("nf_regnet_b0", "convnext_atto", "poolformer_s12", "edgenext_xx_small", "mobilevit_xxs"),
)
"""Networks of images of any size."""

OPTIONS: dict[str, dict[str, int]] = {
    "vit_tiny_patch16_224": {"depth": 2},
    "deit_tiny_distilled_patch16_224": {"depth": 2},
    "beit_base_patch16_224": {"depth": 1, "embed_dim": 96, "num_heads": 3},
    "eva02_tiny_patch14_224": {"depth": 2},
    "cait_xxs24_224": {},
    "mixer_s32_224": {},
    "xcit_nano_12_p16_224": {"depth": 2},
    "swin_tiny_patch4_window7_224": {"embed_dim": 48, "window_size": 4},
    "levit_128s": {},
}
"""Networks of images of one size, and what makes them smaller."""

SIDE = 64


def prepare() -> None:
    """Let timm be imported where torchvision's own operators do not fit this build of torch.

    PyTorch's index has a torchvision for every build; that of PyPI does not load beside a torch for
    the CPU. timm needs none of its operators, but its import asks for these two by name.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        boxes = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        LIBRARIES.append(torch.library.Library("torchvision", "DEF"))
        for name in ("nms", "qnms"):
            LIBRARIES[-1].define(f"{name}{boxes}")


LIBRARIES: list[torch.library.Library] = []
"""Held, because torch forgets the operators of a library that is gone."""


def made(name: str) -> tuple[nn.Module, Batch]:
    prepare()
    import timm

    options = {} if name in SMALL else {"img_size": SIDE} | OPTIONS[name]
    labels = torch.randint(0, CLASSES, (SAMPLES,))
    model = timm.create_model(name, pretrained=False, num_classes=CLASSES, **options)
    return model, (torch.randn(SAMPLES, 3, SIDE, SIDE), labels)


def networks() -> Iterator[Network]:
    for name in (*OPTIONS, *SMALL):
        yield Network(name, "timm", lambda name=name: made(name))
