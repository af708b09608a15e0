"""The models of timm under timm's names, without weight tags: ``timm/resnet18``."""

from functools import cache
from typing import TYPE_CHECKING, Any

from raiw.nets import offline
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
    return tuple(offline.load("timm").list_models())


def find(name: str) -> Network:
    """Return a model by its name in timm, with random weights.

    Raises
    ------
    NotFound
        There is none.
    MissingExtra
        timm is not installed.
    """
    timm = offline.load("timm")
    revision = offline.revision_with(timm, name, names())

    def factory(**arguments: Any) -> "nn.Module":
        for argument, value in arguments.items():
            if argument.startswith("pretrained"):
                raise offline.refused(argument, value)
        made: nn.Module = timm.model_entrypoint(name)(pretrained=False, **arguments)
        return made

    known = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    return Network(f"timm/{name}", factory, known and tuple(known.input_size), revision)
