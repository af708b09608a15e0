"""The kernel of sparse layers: its threads, its time, and arguments that do not fit."""

import itertools
import multiprocessing
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

import raiw
from raiw.compacting import kernels
from raiw.compacting.after import find_followers
from raiw.compacting.geometry import Geometry
from raiw.compacting.layers import MaskedLayer
from raiw.compacting.timing import shortest_times

INPUTS = torch.randn(40, 8, 16, 16, generator=torch.Generator().manual_seed(1))


def condensed():
    layer = {"name": "0", "kind": "conv2d", "in_channels": 8, "out_channels": 16, "kernel_size": 3}
    masks = raiw.craft({"layers": [layer], "craft": {"density": 0.25}})
    return raiw.compact(nn.Sequential(nn.Conv2d(8, 16, 3)), masks, forms=["condensed"])[0]


@pytest.fixture
def two_threads():
    had = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(had)


LAYERS = {
    "strides": (nn.Conv2d(32, 16, 3, stride=2, padding=1), (2, 32, 80, 81)),
    "dilation": (nn.Conv2d(32, 16, 3, stride=(3, 1), dilation=2), (1, 32, 83, 80)),
    "a long line": (nn.Conv1d(16, 8, 5, stride=2, padding=2), (2, 16, 20_000)),
    "a solid": (nn.Conv3d(8, 8, 3, stride=(2, 1, 1), padding=1), (1, 8, 30, 30, 30)),
    "an even kernel": (nn.Conv2d(8, 16, (4, 2), padding="same"), (1, 8, 9, 10)),
    "a strip": (nn.Conv2d(8, 8, (1, 3), padding=(0, 1)), (1, 8, 1, 30_000)),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_unusual_images_come_out_right(case, threads):
    module, shape = LAYERS[case]
    layers = nn.Sequential(module, nn.ReLU(), *([nn.MaxPool2d(3)] if case == "strides" else []))
    kept = np.random.default_rng(0).random(module.weight.shape[:2]) < 0.3
    with torch.no_grad():
        module.weight *= torch.from_numpy(kept).reshape(*kept.shape, *[1] * (len(shape) - 2))
        inputs = torch.randn(shape)
        followers = find_followers(layers, 0, len(shape) - 2)
        layer = MaskedLayer("0", module, Geometry.of(module), kept, followers)
        had = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            got = layer.forms()["condensed"]()(inputs)
        finally:
            torch.set_num_threads(had)
        torch.testing.assert_close(got, layers(inputs), rtol=1e-5, atol=1e-5)


def test_threads_of_the_program_share_the_pool(two_threads):
    layer = condensed()
    batch = INPUTS
    with torch.no_grad():
        wanted = layer(batch)
    same = []

    def work():
        with torch.no_grad():
            same.extend(torch.equal(layer(batch), wanted) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 80


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # of JAX, if other tests loaded it
def test_a_forked_child_has_a_pool_of_its_own(two_threads):
    layer = condensed()
    batch = INPUTS
    with torch.no_grad():
        layer(batch)
        context = multiprocessing.get_context("fork")
        with context.Pool(1) as pool:
            assert pool.apply_async(_sum, (layer, batch)).get(60) == float(
                layer(batch).numpy().sum()
            )


def _sum(layer, batch):
    with torch.no_grad():
        return float(layer(batch).numpy().sum())


def pattern():
    return kernels.pattern(np.array([0, 2]), np.array([0, 3], np.int32), 4)


@pytest.mark.parametrize(
    ("starts", "channels", "words"),
    [
        ([0, 3], [0, 1], "starts goes from 0 to 2"),
        ([0, 2, 1, 2], [0, 1], "starts falls at 2"),
        ([0, 2], [0, 4], "channels holds 4 at 1: 0 to 3"),
        ([0, 1], [-1], "channels holds -1"),
        ([0], [], "at least one group"),
    ],
)
def test_a_pattern_that_leaves_its_inputs_is_refused(starts, channels, words):
    with pytest.raises(ValueError, match=words):
        kernels.pattern(np.array(starts, np.int64), np.array(channels, np.int32), 4)


def call(**changes):
    """A linear layer of one output over two of four inputs, with something changed."""
    arguments = {
        "pattern": pattern(), "weights": np.ones(2, np.float32), "scales": np.ones(0, np.float32),
        "biases": np.ones(1, np.float32), "rectify": False, "pool": 1,
        "inputs": np.ones(4, np.float32), "batch": 1,
        "geometry": np.array([1, 1, 1, 1, 0, 1] * 3, np.int64), "shared": 1, "threads": 1,
        "lanes": 16, "outputs": np.zeros(1, np.float32),
    } | changes  # fmt: skip
    kernels.run(*arguments.values())
    return arguments["outputs"]


def test_the_kernel_computes():
    assert call() == [3.0]


def geometry(place, value):
    numbers = np.array([1, 1, 1, 1, 0, 1] * 3, np.int64)
    numbers[place] = value
    return numbers


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": np.ones(3, np.float32)},
        {"weights": np.ones(2)},
        {"biases": np.ones(2, np.float32)},
        {"scales": np.ones(2, np.float32)},
        {"inputs": np.ones(5, np.float32)},
        {"outputs": np.zeros(2, np.float32)},
        {"batch": 0},
        {"batch": 2**31},
        {"pool": 2},
        {"pool": 0},
        {"shared": 3},
        {"shared": 16},
        {"threads": 0},
        {"geometry": geometry(1, 2)},
        {"geometry": geometry(1, 2), "outputs": np.zeros(2, np.float32)},
        {"geometry": geometry(2, 2), "weights": np.ones(4, np.float32)},
        {"geometry": geometry(2, 2)},
        {"geometry": geometry(3, 0)},
        {"geometry": geometry(4, -1)},
        {"geometry": geometry(0, 2**40)},
        {"pattern": None},
        {"pattern": object()},
    ],
)
def test_arguments_that_do_not_fit_are_refused(changes):
    with pytest.raises((ValueError, TypeError)):
        call(**changes)


def test_disturbances_of_the_first_rounds_do_not_count():
    """However little time there is: a form that was disturbed five times is called again."""
    slow, quick = itertools.count(), itertools.count()
    times = shortest_times(
        [lambda: time.sleep(0.05 * (next(slow) < 6)), lambda: next(quick)], seconds=0.01
    )
    assert next(slow) == next(quick) > 6
    assert times[0] < 0.05
