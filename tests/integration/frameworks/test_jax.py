"""Masks on JAX parameters are held by the last transformation of an optax chain."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import raiw
from raiw.applying.jax import hold, kept_tree, prune
from raiw.errors import InvalidInput

MASKS = raiw.craft(
    {
        "layers": [
            {
                "name": "conv",
                "kind": "conv2d",
                "in_channels": 4,
                "out_channels": 6,
                "kernel_size": 3,
                "groups": 2,
            },
            {"name": "block.fc", "kind": "linear", "in_features": 96, "out_features": 5},
        ],
        "craft": {"density": 0.5},
    }
)


def make_params():
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        "params": {
            "conv": {"kernel": jax.random.normal(keys[0], (3, 3, 2, 6)), "bias": jnp.zeros(6)},
            "block": {"fc": {"kernel": jax.random.normal(keys[1], (96, 5)), "bias": jnp.ones(5)}},
        }
    }


def loss(params, x):
    layers = params["params"]
    numbers = ("NHWC", "HWIO", "NHWC")
    x = jax.lax.conv_general_dilated(
        x,
        layers["conv"]["kernel"],
        (1, 1),
        "SAME",
        dimension_numbers=numbers,
        feature_group_count=2,
    )
    x = jnp.tanh(x + layers["conv"]["bias"]).reshape(len(x), -1)
    return jnp.square(x @ layers["block"]["fc"]["kernel"] + layers["block"]["fc"]["bias"]).mean()


def kernels(params):
    layers = params["params"]
    return {"conv": layers["conv"]["kernel"], "block.fc": layers["block"]["fc"]["kernel"]}


def revived(params):
    return sum(
        int(jnp.count_nonzero(jnp.where(MASKS[name].numpy().T, 0, kernel)))
        for name, kernel in kernels(params).items()
    )


def train(params, optimizer, state, steps=3):
    @jax.jit
    def step(params, state, x):
        updates, state = optimizer.update(jax.grad(loss)(params, x), state, params)
        return optax.apply_updates(params, updates), state

    for key in jax.random.split(jax.random.key(1), steps):
        params, state = step(params, state, jax.random.normal(key, (8, 4, 4, 4)))
    return params, state


def test_no_weight_is_revived_by_momentum_that_was_there_before():
    params = make_params()
    adamw = optax.adamw(0.05, weight_decay=0.1)
    params, state = train(params, adamw, adamw.init(params))
    kept = kept_tree(params, MASKS)
    params = prune(params, kept)
    held = optax.chain(adamw, hold(kept))
    trained, _ = train(params, held, (state, optax.EmptyState()))
    assert revived(trained) == 0
    assert not jnp.array_equal(
        trained["params"]["conv"]["kernel"], params["params"]["conv"]["kernel"]
    )
    loose, _ = train(params, adamw, state)
    assert revived(loose) > 0, "without the transformation they come back"


def test_pruning_leaves_kept_weights_and_other_leaves_alone():
    params = make_params()
    pruned = prune(params, kept_tree(params, MASKS))
    for name, kernel in kernels(pruned).items():
        kept = MASKS[name].numpy().T
        assert np.array_equal(kernel, np.where(kept, kernels(params)[name], 0))
        assert int(jnp.count_nonzero(kernel)) == MASKS[name].weights
    assert jnp.array_equal(pruned["params"]["block"]["fc"]["bias"], jnp.ones(5))


def test_equinox_weights_are_those_of_pytorch():
    params = {
        "conv": {"weight": jnp.ones((6, 2, 3, 3))},
        "block": {"fc": {"weight": jnp.ones((5, 96))}},
    }
    kept = kept_tree(params, MASKS)
    assert np.array_equal(kept["block"]["fc"]["weight"], MASKS["block.fc"].numpy())
    assert np.array_equal(kept["conv"]["weight"][:, :, 0, 0], MASKS["conv"].numpy())


def test_what_does_not_fit_is_named():
    params = make_params()
    params["params"]["block"]["fc"]["kernel"] = jnp.ones((5, 96))
    with pytest.raises(InvalidInput, match=r"'block\.fc'.*is \(5, 96\): it is transposed"):
        kept_tree(params, MASKS)
    with pytest.raises(InvalidInput, match=r"'conv' \(did you mean 'convs'"):
        kept_tree({"convs": {"kernel": jnp.ones((3, 3, 2, 6))}}, MASKS)
    kept = kept_tree(make_params(), MASKS)
    with pytest.raises(InvalidInput, match=r"optimizer\.update\(grads, state, params\)"):
        hold(kept).update(make_params(), optax.EmptyState())
