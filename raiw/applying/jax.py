"""Masks on JAX parameters: a tree of booleans, and an optax transformation that holds them.

>>> import jax.numpy as jnp, optax, raiw
>>> from raiw.applying.jax import hold, kept_tree, prune
>>> layer = {"name": "fc", "kind": "linear", "in_features": 8, "out_features": 4}
>>> masks = raiw.craft({"layers": [layer], "craft": {"degree": 1}})
>>> params = {"fc": {"kernel": jnp.ones((8, 4)), "bias": jnp.zeros(4)}}
>>> kept = kept_tree(params, masks)
>>> params = prune(params, kept)
>>> optimizer = optax.chain(optax.adamw(1e-3), hold(kept))
>>> int(jnp.count_nonzero(params["fc"]["kernel"]))
8

Copies, checkpoints and shardings of parameters stay what they were: arrays.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from raiw.applying.kernels import kernel_mask
from raiw.applying.names import match_names
from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.masks import Mask, MaskSet

Tree = Any
"""A pytree of arrays."""

_LEAVES = ("kernel", "w", "weight")


def kept_tree(params: Tree, masks: MaskSet, *, strict: bool = True) -> Tree:
    """Return booleans in the structure of ``params``: true where a weight is kept.

    A layer is named by its path, parts joined by dots: ``block.fc`` is ``params["block"]["fc"]``.
    ``kernel`` (Flax) and ``w`` (Haiku) are ``(*taps, in/groups, out)``, ``weight`` (Equinox) is as
    in PyTorch. Leaves without a mask get one True.

    Raises
    ------
    InvalidInput
        A mask has no parameter while ``strict`` is set, or one of another shape.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    found = match_names(masks, names, _LEAVES, strict=strict)
    layers = {parameter: masks[layer] for layer, parameter in found.items()}
    kept = [
        jnp.asarray(_fit(layers[name], np.shape(leaf), name) if name in layers else np.True_)
        for name, (_, leaf) in zip(names, leaves, strict=True)
    ]
    return jax.tree_util.tree_unflatten(structure, kept)


def prune(tree: Tree, kept: Tree) -> Tree:
    """Return a tree of weights, or of gradients, with zeros where they are pruned."""
    return jax.tree.map(lambda value, keep: jnp.where(keep, value, 0), tree, kept)


def hold(kept: Tree) -> optax.GradientTransformation:
    """Return the transformation that sets pruned weights to zero; it comes last in the chain.

    The update of a pruned weight becomes ``-weight``, whatever momentum and decay made of it.
    """

    def init(params: Tree) -> optax.EmptyState:
        del params
        return optax.EmptyState()

    def update(updates: Tree, state: optax.OptState, params: Tree = None) -> tuple[Tree, Any]:
        if params is None:
            raise InvalidInput("masks need the weights: optimizer.update(grads, state, params)")
        held = jax.tree.map(lambda u, p, keep: jnp.where(keep, u, -p), updates, params, kept)
        return held, state

    return optax.GradientTransformation(init, update)


def _fit(mask: Mask, shape: tuple[int, ...], name: str) -> Bools:
    if not name.endswith("weight"):
        return kernel_mask(mask, shape, name, outputs_first=False)
    kept = mask.for_weight()
    if shape[:2] != kept.shape[:2]:
        raise InvalidInput(
            f"layer {mask.name!r}: the mask is {kept.shape[:2]}, parameter {name!r} is {shape}",
            layer=mask.name,
        )
    return kept.reshape(kept.shape[:2] + (1,) * (len(shape) - 2))
