"""Networks of timm by their names, on small images."""

import importlib
from collections.abc import Iterator

import torch
from torch import nn

from tests.networks.network import Batch, Network

SAMPLES, CLASSES = 2, 10

SIDES = {
    "resnet10t": 64,
    "resnet18": 64,
    "resnext26ts": 64,
    "seresnext26t_32x4d": 64,
    "ecaresnet26t": 64,
    "res2net50_14w_8s": 64,
    "regnetx_002": 64,
    "regnety_002": 64,
    "densenet121": 64,
    "mobilenetv2_050": 64,
    "mobilenetv3_small_050": 64,
    "efficientnet_b0": 64,
    "mnasnet_small": 64,
    "ghostnet_050": 64,
    "repvgg_a0": 64,
    "vgg11": 64,
    "dla46_c": 64,
    "hrnet_w18_small": 64,
    "resnetv2_50x1_bit": 64,
    "nf_regnet_b0": 64,
    "convnext_atto": 64,
    "mixer_s32_224": 224,
    "poolformer_s12": 64,
    "edgenext_xx_small": 64,
    "mobilevit_xxs": 64,
    "vit_tiny_patch16_224": 224,
    "deit_tiny_patch16_224": 224,
    "xcit_nano_12_p16_224": 224,
    "levit_128s": 224,
    "tiny_vit_5m_224": 224,
}
"""The side of the images by the name of the network."""


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


def made(name: str, side: int) -> tuple[nn.Module, Batch]:
    prepare()
    import timm

    labels = torch.randint(0, CLASSES, (SAMPLES,))
    model = timm.create_model(name, pretrained=False, num_classes=CLASSES)
    return model, (torch.randn(SAMPLES, 3, side, side), labels)


def networks() -> Iterator[Network]:
    for name, side in SIDES.items():
        yield Network(name, "timm", lambda name=name, side=side: made(name, side))
