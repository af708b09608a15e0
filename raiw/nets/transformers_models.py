"""The model classes of transformers: ``transformers/ViTForImageClassification``.

The arguments are those of the class's configuration, such as ``num_labels``; the configuration
has the defaults. Networks return their logits, or else their first tensor.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from raiw import extras
from raiw.nets import offline
from raiw.nets.network import Network

if TYPE_CHECKING:
    from torch import nn

_TASKS = (
    "IMAGE_CLASSIFICATION",
    "SEQUENCE_CLASSIFICATION",
    "TOKEN_CLASSIFICATION",
    "CAUSAL_LM",
    "MASKED_LM",
    "SEQ_TO_SEQ_CAUSAL_LM",
)


@cache
def names() -> tuple[str, ...]:
    """Return the names of the classes: base models, classifiers and language models.

    Raises
    ------
    MissingExtra
        transformers is not installed.
    """
    offline.load("transformers")
    auto = vars(extras.load("transformers.models.auto.modeling_auto"))
    tables = [auto["MODEL_MAPPING_NAMES"]]
    tables += [auto[f"MODEL_FOR_{task}_MAPPING_NAMES"] for task in _TASKS]
    listed = (value for table in tables for value in table.values())
    classes = {name for value in listed for name in ([value] if isinstance(value, str) else value)}
    return tuple(sorted(classes))


def find(name: str) -> Network:
    """Return a model by its class in transformers, with random weights.

    Raises
    ------
    NotFound
        There is none.
    MissingExtra
        transformers is not installed.
    """
    transformers = offline.load("transformers")
    revision = offline.revision_with(transformers, name, names())

    def factory(**arguments: Any) -> "nn.Module":
        for argument, value in arguments.items():
            elsewhere = isinstance(value, str) and "/" in value  # a repository of the hub
            if argument.startswith("_") or ("pretrained" in argument and value) or elsewhere:
                raise offline.refused(argument, value)
        kind = getattr(transformers, name)
        made: nn.Module = kind(kind.config_class(**arguments))
        made.register_forward_hook(_logits)
        return made

    return Network(f"transformers/{name}", factory, revision=revision)


def _logits(_module: Any, _inputs: Any, outputs: Any) -> Any:
    if isinstance(outputs, Mapping):
        return outputs["logits"] if "logits" in outputs else next(iter(outputs.values()))
    return outputs
