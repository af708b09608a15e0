"""Names that wrappers lengthen: those of PEFT, torch.compile, DDP and others."""

from typing import Any

WRAPPERS = frozenset(
    {"_orig_mod", "module", "_checkpoint_wrapped_module", "params", "base_layer", "original_module"}
)
"""Parts of a name that torch.compile, DDP, AveragedModel, checkpointing, Flax and PEFT add."""

_PEFT = "base_model.model."


def plain(name: str) -> str:
    """Return a name without what wrappers add to it.

    >>> plain("_orig_mod.base_model.model.h.0.attn.c_attn.base_layer")
    'h.0.attn.c_attn'
    """
    kept = ".".join(part for part in name.split(".") if part not in WRAPPERS)
    return kept.removeprefix(_PEFT)


def without_adapters(name: str) -> str:
    """Return a layer's name as it was before PEFT wrapped the layer or the model."""
    return ".".join(part for part in name.split(".") if part != "base_layer").removeprefix(_PEFT)


def is_adapter(path: str, adapted: set[str]) -> bool:
    """Whether a module lies below an adapted layer, but not in what it adapts."""
    above = path.rpartition(".")[0]
    while above:
        if above in adapted:
            return not f"{path}.".startswith(f"{above}.base_layer.")
        above = above.rpartition(".")[0]
    return False


def is_adapted(module: Any) -> bool:
    """Whether a module adapts another one, as those of PEFT do."""
    return hasattr(module, "base_layer")
