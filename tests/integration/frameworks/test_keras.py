"""Masks on Keras models are held by a constraint, on the backends that are installed here.

A process has one backend, so each runs this file as a program of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import raiw
from raiw.errors import GateFailed, InvalidInput

CONV = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
MASKS = raiw.craft(
    {
        "layers": [
            {"name": "conv", "kind": "conv2d"} | CONV | {"groups": 2},
            {"name": "up", "kind": "conv_transpose2d"} | CONV | {"in_channels": 6},
            {"name": "fc", "kind": "linear", "in_features": 96, "out_features": 5},
        ],
        "craft": {"density": 0.5},
    }
)


def run_backend(folder):
    """Train, save and load on the backend of this process, and print what became of the masks."""
    import keras

    from raiw.applying.keras import apply, check

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((4, 4, 4)),
            layers.Conv2D(6, 3, padding="same", groups=2, activation="tanh", name="conv"),
            layers.Conv2DTranspose(6, 3, padding="same", activation="tanh", name="up"),
            layers.Flatten(),
            layers.Dense(5, name="fc"),
        ]
    )
    random = np.random.default_rng(0)
    x, y = random.normal(size=(32, 4, 4, 4)), random.normal(size=(32, 5))
    model.compile(keras.optimizers.AdamW(0.05, weight_decay=0.1), "mse")
    model.fit(x, y, epochs=2, verbose=0)
    dense = model.get_layer("fc").kernel.numpy()
    apply(model, MASKS)
    result = {"backend": keras.backend.backend(), "applied": revived(model)}
    kept = MASKS["fc"].numpy().T
    result["untouched"] = bool(
        np.array_equal(model.get_layer("fc").kernel.numpy()[kept], dense[kept])
    )
    model.fit(x, y, epochs=3, verbose=0)
    check(model)
    result["trained"] = revived(model)
    model.save(f"{folder}/model.keras")
    loaded = keras.models.load_model(f"{folder}/model.keras")
    result["loaded"] = revived(loaded)
    with pytest.raises(GateFailed, match="apply them again after loading"):
        check(loaded)
    apply(loaded, MASKS)
    loaded.fit(x, y, epochs=2, verbose=0)
    result["trained again"] = revived(loaded)
    loaded.get_layer("up").kernel.assign(np.ones((3, 3, 6, 6)))
    with pytest.raises(GateFailed, match=r"up/kernel: \d+ pruned weights"):
        check(loaded)
    other = keras.Sequential([layers.Input((5,)), layers.Dense(96, name="fc")])
    with pytest.raises(InvalidInput, match="it is transposed"):
        apply(other, MASKS, strict=False)
    print(json.dumps(result))


def revived(model):
    total = 0
    for name, mask in MASKS.items():
        kernel = model.get_layer(name).kernel.numpy()
        kept = mask.numpy() if name == "up" else mask.numpy().T
        total += int(np.count_nonzero(np.where(kept, 0, kernel)))
        assert np.count_nonzero(np.where(kept, kernel, 0)) > 0
    return total


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_no_weight_is_revived(backend, tmp_path):
    environment = {"KERAS_BACKEND": backend, "KERAS_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | environment | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    counts = dict.fromkeys(("applied", "trained", "loaded", "trained again"), 0)
    assert result == counts | {"backend": backend, "untouched": True}


if __name__ == "__main__":
    run_backend(sys.argv[1])
