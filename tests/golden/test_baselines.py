"""The same bits for ever; a digest here changes only together with the ``revision``."""

import numpy as np
import pytest

import raiw

LAYERS = [
    {"name": "fc1", "kind": "linear", "in_features": 64, "out_features": 32},
    {"name": "fc2", "kind": "linear", "in_features": 32, "out_features": 96},
]
SCORES = {
    "fc1": np.arange(32 * 64, dtype=np.float32).reshape(32, 64) * 37 % 101,
    "fc2": np.arange(96 * 32, dtype=np.float32).reshape(96, 32) * 41 % 89,
}
DIGESTS = {
    ("magnitude", True): "sha256:021044278f6b4445f10bcdffeb9cb98c3875c57a32e9d4f495e0188b65dce60a",
    (
        "constant_fan_in",
        True,
    ): "sha256:6a0f902954551351c1fffd1494d74bab0e81249de71e1caa158acea609443769",
    (
        "constant_fan_in",
        False,
    ): "sha256:777938b8c4c7dc51c0a7e80f6365d2702458efae29e24fa0b95ade0c60ecca6b",
    ("expander", False): "sha256:626caadb999ce8e222343d8d06fc89fcee925471db23e64dfd9f7571fcc29bf6",
    ("radix", False): "sha256:ce57db6d9cdf79802de63ef5b9327bd43ce53aa59d6b380dcdeef99f3c3f767c",
    ("nm", True): "sha256:5aac2ac627d01989764bb646ac78965e72d9cf6ada6976f1ec45460f4b33ae1c",
    ("nm", False): "sha256:a18f7718696a16be798084cf33947e9bd5a31bd0e9a342e59ca0e5d7410a1825",
    (
        "transposable_nm",
        True,
    ): "sha256:cb537e84a2177189958ff5c9b60b79ac841417f9a3a629ec0973639d2eb2a3a0",
    (
        "transposable_nm",
        False,
    ): "sha256:1a462a5e8f7276ae1f50e597a4acbba411715b1b1c4356423a73b51267278b9b",
}


@pytest.mark.parametrize(("algorithm", "scored"), DIGESTS)
def test_a_baseline(algorithm: str, scored: bool) -> None:
    spec = {"layers": LAYERS, "craft": {"algorithm": algorithm, "density": 0.25, "m": 8}}
    masks = raiw.craft(spec, SCORES if scored else None)
    assert masks.digest == DIGESTS[algorithm, scored]


@pytest.mark.parametrize("algorithm", ["magnitude", "constant_fan_in", "nm", "transposable_nm"])
def test_scores_of_16_bits_are_those_numbers(algorithm: str) -> None:
    spec = {"layers": LAYERS, "craft": {"algorithm": algorithm, "density": 0.25}}
    narrow = {name: scores.astype(np.float16) for name, scores in SCORES.items()}
    assert raiw.craft(spec, narrow) == raiw.craft(spec, SCORES)
