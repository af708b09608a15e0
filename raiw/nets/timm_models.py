"""The models of timm by their names there, without tags of weights: ``timm/resnet18``."""

import os
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from raiw import extras
from raiw.errors import InvalidInput, NotFound
from raiw.names import clipped, nearest
from raiw.nets.network import Network

if TYPE_CHECKING:
    from torch import nn


@cache
def names() -> tuple[str, ...]:
    """Return the names of all models.

    Raises
    ------
    MissingExtra
        timm is not installed.
    """
    return tuple(_timm().list_models())


def find(name: str) -> Network:
    """Return a model by its name in timm, with random weights.

    Raises
    ------
    NotFound
        There is none.
    MissingExtra
        timm is not installed.
    """
    timm = _timm()
    revision = f"timm {timm.__version__}"
    if name not in names():
        raise NotFound(f"no model {clipped(repr(name))} in {revision}{nearest(name, names())}")

    def factory(**arguments: Any) -> "nn.Module":
        for argument in arguments:
            if argument.startswith("pretrained"):
                raise InvalidInput(
                    f"argument {argument!r}: weights are random, or those of a file; leave it out",
                    pointer="/arguments",
                )
        made: nn.Module = timm.model_entrypoint(name)(pretrained=False, **arguments)
        return made

    known = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    return Network(f"timm/{name}", factory, known and tuple(known.input_size), revision)


def _timm() -> ModuleType:
    os.environ["HF_HUB_OFFLINE"] = "1"  # belt and braces: nothing here asks for a download
    return extras.load("timm")
