"""Sparse neural-network architectures on demand: exact regular masks of large graph entropy.

>>> import raiw
>>> masks = raiw.craft("raiw/vgg16-d16")
>>> masks.weights
754368

Arguments come in one order: what is worked on, its masks or scores, data, the method.
Names are imported when they are first used, so ``import raiw`` costs nothing.
"""

from typing import TYPE_CHECKING, Any

from raiw.extras import load as load_module

if TYPE_CHECKING:
    from raiw.accounting import account
    from raiw.applying.apply import applied, apply
    from raiw.applying.matching import match
    from raiw.budgets.budget import budget
    from raiw.client import AsyncClient, Client
    from raiw.compacting.compact import compact
    from raiw.errors import RaiwError
    from raiw.importance.scoring import score
    from raiw.masks import Mask, MaskSet, load
    from raiw.pipeline import craft
    from raiw.pruning.prune import prune
    from raiw.sparsifying import sparsify
    from raiw.specs.spec import Spec
    from raiw.training.train import train
    from raiw.verification import verify

__all__ = [
    "AsyncClient",
    "Client",
    "Mask",
    "MaskSet",
    "RaiwError",
    "Spec",
    "account",
    "applied",
    "apply",
    "budget",
    "compact",
    "craft",
    "load",
    "match",
    "prune",
    "score",
    "sparsify",
    "train",
    "verify",
]

_HOMES = {
    "AsyncClient": "raiw.client",
    "Client": "raiw.client",
    "Mask": "raiw.masks",
    "MaskSet": "raiw.masks",
    "RaiwError": "raiw.errors",
    "Spec": "raiw.specs.spec",
    "account": "raiw.accounting",
    "applied": "raiw.applying.apply",
    "apply": "raiw.applying.apply",
    "budget": "raiw.budgets.budget",
    "compact": "raiw.compacting.compact",
    "craft": "raiw.pipeline",
    "load": "raiw.masks",
    "match": "raiw.applying.matching",
    "prune": "raiw.pruning.prune",
    "score": "raiw.importance.scoring",
    "sparsify": "raiw.sparsifying",
    "train": "raiw.training.train",
    "verify": "raiw.verification",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("raiw")
    if name == "scores":  # a package of its own: raiw.scores.combine
        return load_module("raiw.scores")
    if name not in _HOMES:
        raise AttributeError(f"module 'raiw' has no attribute {name!r}")
    value = globals()[name] = getattr(load_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
