"""From a model to a sparse model in one call."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from raiw.algorithms import ALGORITHMS
from raiw.applying.apply import Handle, Held, apply
from raiw.applying.coverage import Coverage, coverage
from raiw.applying.holding.held import held_masks
from raiw.errors import InvalidInput
from raiw.importance.batches import Loss
from raiw.importance.scoring import score
from raiw.masks import MaskSet
from raiw.pipeline import craft_masks
from raiw.specs.dead import told
from raiw.specs.spec import Spec


class Sparsified(Handle):
    """The masks that :func:`sparsify` has put on a model, and what they cover of it."""

    def __init__(
        self, model: nn.Module, held: Sequence[Held], masks: MaskSet, report: Coverage
    ) -> None:
        super().__init__(model, held, masks)
        self.report = report


def sparsify(  # noqa: PLR0913 -- what decides the masks, each with a default
    model: nn.Module,
    data: Iterable[Any] | Mapping[str, Any] | Tensor | None = None,
    method: str | None = None,
    *,
    density: float | None = None,
    exclude: str | Iterable[str] = (),
    keep_first: int = 0,
    keep_last: int = 0,
    bare: Mapping[str, str] | None = None,
    loss: Loss | None = None,
    options: Mapping[str, Any] | None = None,
    strict: bool = False,
    **craft: Any,
) -> Sparsified:
    """Score a model's weights, craft masks of them and hold these on the model.

    The same as :meth:`raiw.Spec.from_model`, :func:`raiw.score`, :func:`raiw.craft` and
    :func:`raiw.apply` one after the other. The handle's ``report`` says what share of the weights
    the masks cover, and what stays dense and why; its ``masks`` can be saved. Dead units are named
    in a warning.

    Parameters
    ----------
    model
        Any torch module; its pruned weights are zero from now on.
    data
        Batches, as :func:`raiw.score` takes them.
    method
        An importance score. Left out, ``gradient`` where there are data, else ``magnitude``; none
        is computed for an algorithm that ignores scores, such as ``algorithm="regular"``.
    density
        Kept edges over all edges, in every layer; or another target among ``craft``.
    exclude
        Globs over layer names: these layers stay dense.
    keep_first, keep_last
        So many of the model's first and last layers stay dense.
    bare
        Parameters of no known layer that are layers too, as :meth:`raiw.Spec.from_model` has them.
    loss
        As :func:`raiw.score` takes it.
    options
        The score's own, such as ``{"samples": "absolute"}``.
    strict
        Refuse dead units instead of naming them.
    craft
        Further fields of a spec's ``craft``: ``parameters``, ``allocation``, ``min_fan_in``,
        ``algorithm``, ``seed``, ``rules`` and so on.

    Raises
    ------
    InvalidInput
        The model has no layer that can be sparse or holds masks already, or as in
        :func:`raiw.score`.
    InvalidSpec
        There is no target or it does not fit, or a glob matches no layer.
    DeadUnitsFound
        Units are dead, and ``strict`` is set.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> handle = sparsify(net, torch.ones(2, 8), density=0.25, keep_last=1)
    >>> print(handle.report)
    128 of 192 weights (66.7%) are in sparse layers, which keep 32; density of all 50.00%
      dense: 2.weight, 64 weights: keep_last=1
    """
    globs = [exclude] if isinstance(exclude, str) else exclude
    rules = [{"match": glob, "dense": True, "note": "excluded"} for glob in globs]
    craft |= {"keep_first": keep_first, "keep_last": keep_last}
    craft["rules"] = [*craft.get("rules", ()), *rules]
    if density is not None:
        craft["density"] = density
    spec = Spec.from_model(model, bare=bare, **craft)
    method = _method(spec, data, method)
    own = {"loss": loss, "bare": bare, **(options or {})}
    importance = None if method is None else score(model, data, method, **own)
    masks = craft_masks(spec, importance, strict=strict)
    report = coverage(model, masks)
    apply(model, masks)
    if masks.dead_units:
        warnings.warn(told(masks.dead_units), stacklevel=2)
    return Sparsified(model, held_masks(model), masks, report)


def _method(spec: Spec, data: Any, method: str | None) -> str | None:
    """Return the score to compute; None where the algorithm ignores scores."""
    algorithm = spec.algorithm(scored=True)
    if ALGORITHMS[algorithm].scores != "ignored":
        return method or ("magnitude" if data is None else "gradient")
    if method is not None:
        raise InvalidInput(
            f"algorithm {algorithm!r} ignores scores: leave out method={method!r}, or choose an "
            f"algorithm that takes them, such as 'raiw'"
        )
    return None
