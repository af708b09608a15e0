"""The three layouts of Table 4: weights kept, degrees, and the same bits for ever.

A digest here changes only together with the ``revision`` of its algorithm.
"""

import pytest

import raiw

LAYOUTS = {
    "raiw/vgg16-d8": (
        546_496,
        "sha256:b9a5549e7fda2302f5e6a8090ac13b36f31131e55ac7a5d88f33c2a3f268b8f9",
    ),
    "raiw/vgg16-d16": (
        754_368,
        "sha256:25f9634c0b58a55f5ade891d166c6945f928a3e2c72135c9b8098e75e87087f8",
    ),
    "raiw/vgg16-d32": (
        1_252_032,
        "sha256:97afc57a4534b0bbf03cb50b48fbd3bf944496b4e274c05070aced7d8dc0b429",
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_of_the_paper(name):
    weights, digest = LAYOUTS[name]
    masks = raiw.craft(name)
    assert masks.weights == weights
    assert masks.dense_weights == 14_977_728
    assert masks.digest == digest
    report = raiw.verify(masks, spec=name)
    assert report.ok, report.faults
