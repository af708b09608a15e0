"""Tiles count every edge once, and tell structure from chance."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import raiw
from raiw.graphs import Graph
from raiw.pictures.tiles import count_tiles, deviations, tile_side


@st.composite
def windows(draw):
    out, n_in = draw(st.integers(1, 40)), draw(st.integers(1, 70))
    kept = np.random.default_rng(draw(st.integers(0, 99))).random((out, n_in)) < draw(
        st.sampled_from([0.0, 0.1, 0.5, 1.0])
    )
    top, left = draw(st.integers(0, out - 1)), draw(st.integers(0, n_in - 1))
    bottom, right = draw(st.integers(top + 1, out)), draw(st.integers(left + 1, n_in))
    return kept, (top, bottom), (left, right)


@given(windows(), st.integers(1, 300))
def test_every_tile_has_the_edges_of_its_rows_and_columns(window, most):
    kept, rows, columns = window
    tiles = count_tiles(Graph.from_bool(kept), rows, columns, most=most)
    assert (tiles.rows[0], tiles.rows[-1]) == rows
    assert (tiles.columns[0], tiles.columns[-1]) == columns
    assert tiles.counts.size <= most
    for i, (top, bottom) in enumerate(zip(tiles.rows, tiles.rows[1:], strict=False)):
        for j, (left, right) in enumerate(zip(tiles.columns, tiles.columns[1:], strict=False)):
            assert tiles.counts[i, j] == kept[top:bottom, left:right].sum()
            assert tiles.cells[i, j] == (bottom - top) * (right - left)


@given(windows())
def test_windows_add_up_to_the_whole(window):
    kept, (top, bottom), (left, right) = window
    graph = Graph.from_bool(kept)
    out, n_in = kept.shape
    bands = [(a, b) for a, b in ((0, top), (top, bottom), (bottom, out)) if a < b]
    strips = [(a, b) for a, b in ((0, left), (left, right), (right, n_in)) if a < b]
    counts = [count_tiles(graph, a, b, most=9).counts.sum() for a in bands for b in strips]
    assert sum(counts) == count_tiles(graph).counts.sum() == graph.edges


@given(st.integers(1, 100_000), st.integers(1, 100_000), st.integers(1, 1 << 16))
def test_tiles_are_few_and_no_larger_than_they_must_be(out, n_in, most):
    def count(side):
        return -(-out // side) * -(-n_in // side)

    side = tile_side(out, n_in, most)
    assert count(side) <= most
    assert max(out, n_in) <= 1024 * side
    assert side == 1 or count(side // 2) > most or max(out, n_in) > 512 * side


def crafted(algorithm, seed, **layer):
    shape = {"in_features": 128, "out_features": 96} | layer
    spec = {
        "layers": [{"name": "fc", "kind": "linear"} | shape],
        "craft": {"degree": 24, "algorithm": algorithm, "seed": seed},
    }
    return raiw.craft(spec)["fc"].graph


@pytest.mark.parametrize("algorithm", ["regular", "random"])
def test_random_masks_deviate_by_one_standard_deviation(algorithm):
    squares = []
    for seed in range(40):
        graph = crafted(algorithm, seed)
        found = deviations(graph, count_tiles(graph, most=12))
        assert found.shape == (3, 4)
        squares.append(np.mean(found**2))
    assert 0.85 < np.mean(squares) < 1.15
    assert np.max(squares) < 5


def test_blocks_deviate_far_more_than_chance():
    blocks = Graph.from_bool(np.kron(np.eye(4, dtype=bool), np.ones((32, 32), bool)))
    found = deviations(blocks, count_tiles(blocks, most=64))
    assert found.max() > 10
    assert found.min() < -5
    hole = crafted("regular", 0).to_bool()
    hole[32:64, 64:96] = False
    emptied = Graph.from_bool(hole)
    found = deviations(emptied, count_tiles(emptied, most=12))
    assert found[1, 2] == found.min() < -10


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_groups_deviate_each_from_its_own(groups):
    kept = np.random.default_rng(0).random((64, 48)) < np.linspace(0.1, 0.9, 64)[:, None]
    graph = Graph.from_bool(kept)
    tiles = count_tiles(graph, most=48)
    assert tiles.side == 8
    found = deviations(graph, tiles, groups)
    alone = [deviations(part, count_tiles(part, most=48 // groups)) for part in graph.split(groups)]
    np.testing.assert_allclose(found, np.concatenate(alone), atol=1e-9)
    across = deviations(graph, count_tiles(graph, (0, 64), (3, 45), most=2), groups)
    assert np.isfinite(across).all()


@pytest.mark.parametrize("fill", [0, 1])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (16, 16)])
def test_what_cannot_vary_does_not_deviate(fill, shape):
    graph = Graph.from_bool(np.full(shape, fill, bool))
    assert not deviations(graph, count_tiles(graph, most=4)).any()


def test_a_large_layer_is_counted_without_being_unpacked():
    shape = (4096, 14336)
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 256, (shape[0], shape[1] // 8), np.uint8)
    graph = Graph(shape, bits)
    tracemalloc.start()
    tiles = count_tiles(graph)
    deviations(graph, tiles)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tiles.counts.sum() == graph.edges
    assert peak < 4 * graph.bits.nbytes
