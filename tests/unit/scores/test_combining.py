"""Several scores made one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load_file, save_file
from torch import nn

import raiw
from raiw.cli.app import run
from raiw.errors import InvalidImportance, InvalidInput, NotFound
from raiw.importance.expressions import parse
from raiw.jobs.score import ScoreJob
from raiw.scores import NORMALISATIONS, combine

A = np.array([[1.0, 2.0], [2.0, 3.0]])
B = np.array([[0.0, -4.0], [4.0, 8.0]])
FINITE = arrays.arrays(
    np.float32, (3, 4), elements=strategies.floats(2**-6, 64, width=32), unique=True
)


@pytest.mark.parametrize(
    ("normalise", "by_hand"),
    [
        ("sum", 3 * A / 8 + B / 16),
        ("rank", 3 * np.array([[0, 0.5], [0.5, 1]]) + np.array([[1, 0], [2, 3]]) / 3),
        ("std", 3 * A / np.sqrt(0.5) + B / np.sqrt(20)),
    ],
)
def test_a_combination_is_what_one_computes_by_hand(normalise: str, by_hand: np.ndarray) -> None:
    found = combine([{"fc": A}, {"fc": B}], [3, 1], normalise=normalise)
    assert found["fc"] == pytest.approx(by_hand, rel=1e-6)
    assert found["fc"].dtype == np.float32


@given(FINITE, FINITE, strategies.sampled_from(NORMALISATIONS), strategies.integers(-60, 60))
def test_the_unit_of_a_score_does_not_matter(
    one: np.ndarray, two: np.ndarray, normalise: str, power: int
) -> None:
    """Layer by layer: another unit in each."""
    plain = combine([{"a": one, "b": two}, {"a": two, "b": one}], normalise=normalise)
    scaled = {"a": np.float64(one) * 2.0**power, "b": np.float64(two) * 2.0**-power}
    again = combine([scaled, {"a": two, "b": one}], normalise=normalise)
    for layer in ("a", "b"):
        assert np.array_equal(plain[layer], again[layer])


@given(FINITE, FINITE, strategies.sampled_from(NORMALISATIONS))
def test_a_weight_of_zero_leaves_the_order_of_the_other(
    one: np.ndarray, two: np.ndarray, normalise: str
) -> None:
    found = combine([{"a": one}, {"a": two}], [1, 0], normalise=normalise)["a"]
    in_order = found.ravel()[np.argsort(one, axis=None)]
    assert (np.diff(in_order) >= 0).all()


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_values_at_the_ends_of_float64_are_scaled_without_loss(normalise: str) -> None:
    values = np.array([[1.0, 2.0, 4.0]])
    plain = combine([{"a": values}], normalise=normalise)["a"]
    for scale in (2.0**1000, 2.0**-1060):
        assert np.array_equal(combine([{"a": values * scale}], normalise=normalise)["a"], plain)


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_never_stays_never_and_counts_for_nothing_else(normalise: str) -> None:
    never = np.array([[1.0, -np.inf, 3.0]])
    found = combine([{"a": never}, {"a": np.array([[5.0, 1.0, 1.0]])}], normalise=normalise)["a"]
    assert np.isneginf(found).tolist() == [[False, True, False]]
    alone = combine([{"a": never}], normalise=normalise)["a"]
    without = combine([{"a": np.array([[1.0, 3.0]])}], normalise=normalise)["a"]
    assert np.array_equal(alone[:, [0, 2]], without)


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_scores_that_say_nothing_are_named(normalise: str) -> None:
    """And change no order."""
    for nothing in (np.full((2, 2), 0.1), np.zeros((2, 2))):
        with pytest.warns(UserWarning, match=r"score 2 says nothing about 1 of 1 layers.*fc"):
            found = combine([{"fc": A}, {"fc": nothing}], normalise=normalise)["fc"]
        alone = combine([{"fc": A}], normalise=normalise)["fc"]
        assert np.argsort(found, None).tolist() == np.argsort(alone, None).tolist()
        assert np.ptp(found) == pytest.approx(np.ptp(alone) / 2)


@pytest.mark.parametrize(
    ("scores", "options", "error", "words"),
    [
        ([], {}, InvalidInput, "no scores"),
        ([{"a": A}], {"weights": [1, 2]}, InvalidInput, "1 scores and 2 weights"),
        ([{"a": A}], {"weights": [np.inf]}, InvalidInput, "weight of score 1 is inf"),
        ([{"a": A}], {"weights": [1e300]}, InvalidInput, "too large"),
        ([{"a": A}], {"normalise": "ranks"}, InvalidInput, "did you mean 'rank'"),
        ([{"a": A}, {"b": A}], {}, InvalidImportance, "score 2 has no scores of a"),
        ([{"a": A}, {"a": A, "b": A}], {}, InvalidImportance, "score 1 has no scores of b"),
        ([{"a": A}, {"a": A[:1]}], {}, InvalidImportance, r"\(2, 2\).*\(1, 2\)"),
        ([{"a": A[0]}], {}, InvalidImportance, "of edges"),
        ([{"a": A * np.nan}], {}, InvalidImportance, "NaN"),
        ([{"a": A * np.inf}], {}, InvalidImportance, "inf"),
        (["nowhere.safetensors"], {}, NotFound, "nowhere"),
    ],
)
def test_what_cannot_be_combined_is_refused(
    scores: list, options: dict, error: type, words: str
) -> None:
    with pytest.raises(error, match=words):
        combine(scores, **options)


def test_a_sum_of_methods_is_the_sum_of_their_files(tmp_path: Path) -> None:
    """In any order of the terms, to the last bit; the file says how it was made."""
    torch.manual_seed(0)
    net, images = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), torch.randn(6, 5)
    files = []
    for method in ("gradient", "magnitude", "synflow"):
        files.append(tmp_path / f"{method}.safetensors")
        raiw.score(net, images, method).save(files[-1])
    for normalise in NORMALISATIONS:
        expected = combine(files, [0.3, 2, -0.1], normalise=normalise)
        for text in (
            "0.3*gradient+2*magnitude-0.1*synflow",
            "-.1 * synflow + 2*magnitude + 0.3*gradient",
        ):
            found = raiw.score(net, images, text, normalise=normalise)
            assert all(np.array_equal(found[layer], expected[layer]) for layer in expected)
            assert found.provenance["method"] == "0.3*gradient + 2*magnitude - 0.1*synflow"
            assert found.provenance["options"]["normalise"] == normalise
    masks = raiw.craft(raiw.Spec.from_model(net, degree=1), found)
    assert masks["0"].edges == 5


def test_an_option_goes_to_every_term_that_has_it() -> None:
    torch.manual_seed(0)
    net, images = nn.Sequential(nn.Conv2d(2, 3, 3)), torch.randn(4, 2, 5, 5)
    found = raiw.score(net, images, "gradient + magnitude + random", taps="l2")
    parts = [
        raiw.score(net, images, "gradient", taps="l2"),
        raiw.score(net, images, "magnitude", taps="l2"),
        raiw.score(net, images, "random"),
    ]
    assert np.array_equal(found["0"], combine(parts, [1, 1, 1])["0"])
    with pytest.raises(InvalidInput, match="option 'taps'"):
        raiw.score(net, images, "gradient + magnitude", taps="l3")
    with pytest.raises(InvalidInput, match="has no option 'tap'"):
        raiw.score(net, images, "gradient + magnitude", tap="l2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gradient*2", "from character 9 on"),
        ("gradient + + magnitude", "from character 10 on"),
        ("2 gradient", "from character 1 on"),
        ("0.5*gradient 0.5*magnitude", "from character 14 on"),
        ("gradient + magnitud", "did you mean 'magnitude'"),
        ("gradient + gradient", "twice"),
        ("1e999*gradient", "not finite"),
        (" ", "from character 1 on"),
        ("+" * 10_000, "from character 1 on"),
    ],
)
def test_a_sum_that_cannot_be_read_says_where(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse(text)


@given(
    strategies.dictionaries(
        strategies.sampled_from(["gradient", "magnitude", "snip", "taylor"]),
        strategies.floats(allow_nan=False, allow_infinity=False),
        min_size=1,
    )
)
def test_the_one_spelling_of_a_sum_reads_as_itself(terms: dict[str, float]) -> None:
    text = " + ".join(f"{abs(weight)!r}*{name}" for name, weight in terms.items())
    once = parse(text)
    assert parse(once.name) == once
    assert {score.name: weight for weight, score in once.terms} == {
        name: abs(weight) for name, weight in terms.items()
    }


def test_jobs_of_equal_sums_are_equal() -> None:
    """And lists, which have no room for a sum, call it combined."""
    job = {"network": "digits-cnn", "weights": "sha256:" + "0" * 64, "data": "digits"}
    one, two, other = (
        ScoreJob.parse(job | {"method": method})
        for method in ("gradient+.5*magnitude", "0.5 * magnitude + gradient", "gradient+magnitude")
    )
    assert one.content_key() == two.content_key() != other.content_key()
    assert one.algorithm == "combined"
    assert one.needs_data
    assert not ScoreJob.parse({**job, "data": None, "method": "magnitude + random"}).needs_data
    with pytest.raises(InvalidInput, match="needs data"):
        ScoreJob.parse({**job, "data": None, "method": "magnitude + gradient"})


def test_the_command_combines_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file({"fc": A.astype(np.float16)}, "a.safetensors")
    save_file({"fc": B}, "b.safetensors")
    command = ["combine", "a.safetensors", "b.safetensors", "--weights", "3,1"]
    assert run([*command, "--normalise", "rank", "-o", "c.safetensors", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["options"] == {"normalise": "rank"}
    assert [term["weight"] for term in said["terms"]] == [3, 1]
    expected = combine([{"fc": A}, {"fc": B}], [3, 1], normalise="rank")
    assert np.array_equal(load_file("c.safetensors")["fc"], expected["fc"])
    for wrong in (["--weights", "1,x"], ["--weights", "1"], ["--normalise", "no"]):
        assert run([*command[:3], *wrong, "-o", "d.safetensors"]) == 2
    assert run(["combine", "a.safetensors", "none", "-o", "d.safetensors"]) == 5
    assert not Path("d.safetensors").exists()
