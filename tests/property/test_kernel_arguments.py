"""What kernels are given: the same numbers give the same bits, and what is wrong is refused."""

import ast
import ctypes
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raiw import kernels
from tests.fuzz.kernel_cases import KERNELS, Case

ROOT = Path(__file__).parents[2]
STUB = ast.parse((ROOT / "raiw" / "kernels" / "compiled.pyi").read_text("utf-8"))
NAMES = {
    node.name: [argument.arg for argument in node.args.posonlyargs]
    for node in STUB.body
    if isinstance(node, ast.FunctionDef)
}
SCORED = [name for name, arguments in NAMES.items() if arguments[0] == "scores"]
CTYPES = {"f": ctypes.c_float, "d": ctypes.c_double, "H": ctypes.c_uint16}


def usual(name, case):
    """Arguments that a kernel takes."""
    args = KERNELS[name](case)
    if name == "settle":  # the only one whose arrays point into each other
        args[0] = np.minimum(np.maximum.accumulate(np.maximum(args[0], 0)), len(args[1]))
        args[1] = np.clip(args[1], 0, len(args[5]) - 1)
    return args


def large(name):
    """Such arguments with two rows or more in every array."""
    every = (usual(name, Case(0, index)) for index in itertools.count())
    return next(
        args for args in every if all(len(a) > 1 for a in args if isinstance(a, np.ndarray))
    )


def outcome(name, args):
    """What a kernel answers, and what it leaves in its arguments."""
    own = [arg.copy() if isinstance(arg, np.ndarray) else arg for arg in args[1:]]
    answer = np.array(getattr(kernels, name)(args[0], *own), dtype=object)
    return repr(answer), [arg.tobytes() for arg in own if isinstance(arg, np.ndarray)]


def at(address, values):
    memory = np.zeros(values.nbytes + 16, np.uint8)
    start = (address - memory.ctypes.data) % 16
    placed = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    placed[...] = values
    return placed


def forms(scores):
    """The scores at every address modulo 16, and in every format that means the same."""
    yield from (at(address, scores) for address in range(16))
    code = memoryview(scores).format
    little = CTYPES.get(code)
    if little is not None:
        rows, columns = scores.shape
        array = (little.__ctype_le__ * columns * rows).from_buffer_copy(scores.tobytes())
        assert memoryview(array).format == f"<{code}"
        yield array
        yield memoryview(scores.tobytes()).cast(f"@{code}", scores.shape)


@pytest.mark.parametrize("name", SCORED)
@given(st.integers(0, 2**32))
@settings(max_examples=15)
def test_neither_address_nor_format_of_the_scores_changes_a_bit(name, seed):
    """Whatever their bits are, NaN and infinities among them."""
    args = usual(name, Case(seed, 0))
    scores = at(0, args[0])
    expected = outcome(name, [scores, *args[1:]])
    for form in forms(scores):
        assert outcome(name, [form, *args[1:]]) == expected


@pytest.mark.parametrize("rank", [kernels.rank_rows, kernels.rank_columns])
@given(st.integers(0, 2**32), st.sampled_from(["f4", "f8"]))
@settings(max_examples=60)
def test_a_rank_is_that_of_a_sort_or_an_end_of_its_window(rank, seed, kind):
    case = Case(seed, 0)
    lines, others = case.shape if rank is kernels.rank_rows else case.shape[::-1]
    scores, prices = case.numbers(case.shape, kind), np.nan_to_num(case.doubles(others))
    k, ranked = case.below(others + 1), np.zeros((3, lines))
    windows = np.sort([case.doubles(lines), case.doubles(lines)], axis=0)
    windows[np.isnan(windows)] = np.inf
    lows, highs = np.sort(windows, axis=0)
    rank(scores, prices, lows, highs, k, ranked)
    with np.errstate(all="ignore"):
        net = (scores if rank is kernels.rank_rows else scores.T) - prices.astype(kind)
        ends = np.sort([lows, highs], axis=0).astype(kind)
    best = -np.sort(-np.where(np.isnan(net), -np.inf, net), axis=1)
    best = np.pad(best, ((0, 0), (1, 3)), constant_values=-np.inf)
    best[:, 0] = np.inf
    expected = np.clip(best[:, k : k + 3].T, *ends)
    if k == 0:
        expected[0] = np.inf
    assert np.array_equal(ranked, expected)


def test_the_stub_and_the_fuzz_know_every_kernel():
    compiled = {name for name in dir(kernels.compiled) if not name.startswith("_")}
    assert compiled == NAMES.keys() == KERNELS.keys()


@pytest.mark.parametrize(
    ("name", "place"), [(name, i) for name in NAMES for i in range(len(NAMES[name]))]
)
def test_a_wrong_argument_is_named(name, place):
    wanted = NAMES[name][place]
    args = usual(name, Case(0, 0))
    with pytest.raises(TypeError, match=f"^{wanted} is missing"):
        getattr(kernels, name)(*args[:place])
    if wanted in {"finite", "quick"}:  # every object is true or false
        return
    args[place] = "text"
    with pytest.raises(TypeError, match=f"^{wanted} is .* is wanted"):
        getattr(kernels, name)(*args)


@pytest.mark.parametrize("name", NAMES)
def test_one_argument_more_is_refused(name):
    args = usual(name, Case(0, 0))
    with pytest.raises(TypeError, match=f"{len(args) + 1} arguments .* {len(args)} are wanted"):
        getattr(kernels, name)(*args, None)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (lambda array: array[None], "has the shape .* is wanted"),
        (lambda array: np.repeat(array, 2, axis=-1)[..., ::2], "is not contiguous by rows: copy"),
        (lambda array: np.zeros(array.shape, np.complex64), "is of type 'Zf': .* is wanted"),
        (lambda array: np.zeros(array.shape, "f4,f4"), "is of type 'T{f:f0:f:f1:}': .* is wanted"),
        (lambda array: np.zeros(array.shape, ">f8"), "is big-endian .*: swap its bytes"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_an_array_of_another_form_is_named(name, form, said):
    args = large(name)
    for place, array in enumerate(args):
        if isinstance(array, np.ndarray):
            with pytest.raises((TypeError, ValueError), match=f"^{NAMES[name][place]} {said}"):
                getattr(kernels, name)(*args[:place], form(array), *args[place + 1 :])


SCORES = np.arange(12, dtype=np.float32).reshape(3, 4)
LINE = np.ones(4)


def bits(*rows):
    return np.array(rows, np.uint8)[:, None]


def settled(**changed):
    """A graph of one output and two inputs, with some arguments changed."""
    arguments = {
        "starts": np.array([0, 2]), "columns": np.array([0, 1]), "scores": np.ones(2),
        "kept": np.ones(2, bool), "out_above": np.zeros(1, bool), "in_above": np.zeros(2, bool),
        "out_prices": np.zeros(1), "in_prices": np.zeros(2), "tolerance": 0.0, "rounds": 1,
    }  # fmt: skip
    return kernels.settle(*(arguments | changed).values())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: kernels.greedy(SCORES, bits(0, 0, 0), 13, 0, LINE[:3]),
         "edges is 13: 0 to 12 is wanted"),
        (lambda: kernels.greedy(SCORES, bits(0, 0, 0), -1, 0, LINE[:3]),
         "edges is -1: 0 to 12 is wanted"),
        (lambda: kernels.greedy(SCORES, bits(0, 0, 0), 2**64, 0, LINE[:3]),
         "edges is 18446744073709551616"),
        (lambda: kernels.greedy(SCORES, bits(0, 1, 0), 5, 0, LINE[:3]),
         "bits has edges: zeros are wanted"),
        (lambda: kernels.greedy(SCORES, b"\0\0\0", 5, 0, LINE[:3]),
         "bits .*: an array that can be written"),
        (lambda: kernels.complete(SCORES, bits(0, 16, 0), 5, LINE[:3]),
         "bits has bits past input 3 in row 1"),
        (lambda: kernels.complete(SCORES, bits(0, 16), 5, LINE[:3]),
         r"bits has the shape \(2, 1\): \(3, 1\)"),
        (lambda: kernels.regular(bits(0, 0), 9, 5, 1), "n_in is 9: 1 to 8 is wanted"),
        (lambda: kernels.regular(bits(0, 0), 8, 17, 1), "edges is 17: 0 to 16 is wanted"),
        (lambda: kernels.regular(bits(0, 255), 8, 5, 1), "bits has edges: zeros are wanted"),
        (lambda: kernels.uniform(bits(0, 0), 8, 9, 1), "edges is 9: 0 to 8 is wanted"),
        (lambda: kernels.uniform(bits(0, 0), 8, 5, 2**64), "key is 18446744073709551616: 0 to"),
        (lambda: kernels.survey_kept(
            SCORES, bits(0, 0, 255), np.zeros((2, 2048), int), np.zeros(3), np.zeros(4)),
         "bits has bits past input 3 in row 2"),
        (lambda: kernels.survey_kept(
            SCORES, bits(0, 0, 1), np.zeros((2, 2047), int), np.zeros(3), np.zeros(4)),
         r"sums has the shape \(2, 2047\): \(2, 2048\) is wanted"),
        (lambda: kernels.rank_rows(SCORES, LINE[:4], LINE[:3], LINE[:3], 5, np.ones((3, 3))),
         "k is 5: 0 to 4 is wanted"),
        (lambda: kernels.rank_columns(SCORES, LINE[:3], LINE[:4], LINE[:4], 4, np.ones((3, 4))),
         "k is 4: 0 to 3 is wanted"),
        (lambda: kernels.transposable(SCORES, bits(0, 0, 0), 3, 1), "m is 3: a divisor of both"),
        (lambda: kernels.transposable(SCORES, bits(0, 0, 0), 33, 1), "m is 33: 1 to 32 is wanted"),
        (lambda: kernels.transposable(SCORES, bits(0, 0, 0), 1, 2), "n is 2: 0 to 1 is wanted"),
        (lambda: kernels.descend(SCORES, 13, np.zeros(3), np.zeros(4), 1, 0.0, 0.0, False),
         "edges is 13: 0 to 12 is wanted"),
        (lambda: kernels.finite_range(SCORES[:, :0]), r"scores has the shape \(3, 0\): sides of 1"),
        (lambda: kernels.finite_range(np.broadcast_to(SCORES[:1], (3, 4))), "scores is not contig"),
        (lambda: kernels.finite_range(SCORES.astype(">f4")), "scores is big-endian"),
        (lambda: settled(columns=np.array([0, 2])), "columns holds 2 at 1: 0 to 1 is wanted"),
        (lambda: settled(columns=np.array([-1, 1])), "columns holds -1 at 0: 0 to 1 is wanted"),
        (lambda: settled(starts=np.array([0, 3])), "starts holds 3 at 1: 0 to 2 is wanted"),
        (lambda: settled(starts=np.array([2, 1])), "starts holds 1 at 1: 2 to 2 is wanted"),
        (lambda: settled(starts=np.array([0])), "starts holds 1 numbers: 2 are wanted"),
        (lambda: settled(kept=np.ones(1, bool)), r"kept has the shape \(1,\): \(2,\) is wanted"),
        (lambda: settled(rounds=6), "rounds is 6: 0 to 5 is wanted"),
        (lambda: settled(in_prices=np.zeros(17, np.uint8)[1:].view(float)), "in_prices is not al"),
    ],
)  # fmt: skip
def test_what_would_lead_out_of_an_array_is_refused(call, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        call()


def test_what_is_written_lies_in_no_other_argument():
    memory = np.zeros(64, np.uint8)
    starts, prices = memory[:16].view(np.int64), memory[8:16].view(float)
    with pytest.raises(ValueError, match="out_prices shares memory with starts"):
        settled(starts=starts, columns=np.zeros(0, int), scores=np.zeros(0), out_prices=prices,
                kept=np.zeros(0, bool))  # fmt: skip


def test_hostile_calls_neither_hang_nor_crash():
    """Ten thousand of them, in a process that is ended when one takes ten seconds of its time."""
    command = [sys.executable, "-m", "tests.fuzz.kernels", "--cases", "10000", "--jobs", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
