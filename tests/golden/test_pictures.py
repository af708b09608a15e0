"""The papers' figures: what is drawn is what the formulas give, the same bytes each time."""

import csv
import io
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raiw.cli.app import run
from raiw.pictures.drawing import Mark, shapes_of
from raiw.reproduction import toys
from raiw.reproduction.proposition import fitting, outside, printed_range
from raiw.reproduction.registry import ITEMS, PICTURES, item
from tests.golden.test_networks import ORIGINALS, PRESETS, UNPRINTED
from tests.reference.crafting import greedy

DOCS = Path(__file__).parents[2] / "docs"
UNTRAINED = [name for name in PICTURES if not ITEMS[name].trains]


@pytest.fixture(scope="module")
def drawn():
    return {name: item(name).draw()[0] for name in UNTRAINED}


def rows_of(picture):
    return list(csv.DictReader(io.StringIO(picture.csv())))


def entropy(edges):
    """The von Neumann entropy of a graph of pairs of names, by the definition."""
    names = sorted({name for edge in edges for name in edge})
    laplacian = np.zeros((len(names), len(names)))
    for edge in edges:
        u, v = map(names.index, edge)
        laplacian[[u, v], [u, v]] += 1
        laplacian[[u, v], [v, u]] -= 1
    values = np.linalg.eigvalsh(laplacian / np.trace(laplacian))
    return -sum(value * math.log(value) for value in values if value > 1e-12)


def graphs_of(picture):
    """The edges of each graph of a file, as pairs of named vertices."""
    graphs = {}
    for row in rows_of(picture):
        layer = int(row["layer"])
        ends = (f"{layer} {row['input']}", f"{layer + 1} {row['output']}")
        graphs.setdefault(row["graph"], []).append(ends)
    return graphs


def degrees_of(edges):
    found = {}
    for top, bottom in edges:
        for end in (f"below {top}", f"above {bottom}"):
            found[end] = found.get(end, 0) + 1
    return found


@pytest.mark.parametrize("name", UNTRAINED)
def test_the_page_shows_what_is_drawn_now(drawn, name):
    kept = (DOCS / "figures" / f"{name}.svg").read_text("utf-8")
    assert drawn[name].drawing.svg() == kept
    assert f"figures/{name}.svg" in (DOCS / "pictures.md").read_text("utf-8")


def test_a_picture_says_what_it_shows_in_words(drawn):
    for picture in drawn.values():
        assert len(picture.drawing.description) > 60
        assert len(picture.drawing.title) > 8


def test_other_threads_give_the_same_bytes(drawn, tmp_path):
    names = ("figure1", "figure2", "figure3", "figure4a", "afie-shape")
    for name in names:
        assert run(["reproduce", name, "--pictures", str(tmp_path), "--json"]) == 0
    other = tmp_path / "other"
    environment = {**os.environ, "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    subprocess.run(
        [sys.executable, "-m", "raiw", "reproduce", "figure2", "--pictures", str(other)],
        env=environment,
        check=True,
        capture_output=True,
        timeout=300,
    )
    for suffix in ("svg", "csv", "png"):
        assert (other / f"figure2.{suffix}").read_bytes() == (
            tmp_path / f"figure2.{suffix}"
        ).read_bytes()
    for name in names:
        for file, content in drawn[name].files().items():
            assert (tmp_path / file).read_bytes() == content
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.width == round(2 * drawn[name].drawing.width)


def test_figure_1_blocks_nothing_where_degrees_are_even(drawn):
    """Rings are the vertices that lack an edge to a neighbouring layer."""
    graphs = graphs_of(drawn["figure1"])
    assert len(graphs["random"]) == len(graphs["regular"]) == 40
    assert set(degrees_of(graphs["regular"]).values()) == {2}
    wanted = {f"below {layer} {place}" for layer in (1, 2) for place in range(1, 11)} | {
        f"above {layer} {place}" for layer in (2, 3) for place in range(1, 11)
    }
    lacking = {name.partition(" ")[2] for name in wanted - degrees_of(graphs["random"]).keys()}
    marks = [shape for shape in shapes_of(drawn["figure1"].drawing) if isinstance(shape, Mark)]
    assert sum(mark.colour == "random" for mark in marks) == len(lacking) > 0


def test_figure_2_has_the_printed_entropies(drawn):
    graphs = graphs_of(drawn["figure2"])
    assert {name: len(edges) for name, edges in graphs.items()} == {"greedy": 50, "greedy_min": 50}
    assert round(entropy(graphs["greedy"]), 3) == 2.875
    assert round(entropy(graphs["greedy_min"]), 3) == 2.554


def test_figure_3_is_what_algorithm_3_does(drawn):
    rows = rows_of(drawn["figure3"])
    scores = [list(row) for row in toys._SCORES]
    expected, _, _ = greedy(scores, 8, 0)
    taken = {
        (int(row["output"]) - 1, int(row["input"]) - 1) for row in rows if row["verdict"] == "taken"
    }
    assert taken == expected
    seen = [float(row["score"]) for row in rows]
    assert seen == sorted(seen, reverse=True)
    degrees = {}
    for row in rows:
        ends = (f"in {row['input']}", f"out {row['output']}")
        full = [end for end in ends if degrees.get(end, 0) == 2]
        if row["verdict"] == "taken":
            assert not full
            degrees |= {end: degrees.get(end, 0) + 1 for end in ends}
        else:
            assert full
            assert all(end in row["verdict"] for end in full)


@pytest.mark.parametrize("name", ["figure4a", "figure4b"])
def test_figure_4_counts_every_network_and_invents_no_error(drawn, name):
    counted = ORIGINALS | UNPRINTED | {key: weights for key, (weights, _) in PRESETS.items()}
    rows = rows_of(drawn[name])
    assert len(rows) == 6
    assert all(int(row["weights"]) == counted[row["network"]] for row in rows)
    assert {(row["trained_error_percent"], row["runs"]) for row in rows} == {("", "0")}
    assert sum(bool(row["printed_error_percent"]) for row in rows) == 2


def report(folder, name, accuracy, *, weights, network="resnet32-cifar100", dataset="cifar100"):
    path = folder / name
    facts = {"network": network, "dataset": dataset, "weights": weights, "accuracy": accuracy}
    path.write_text(json.dumps(facts))
    return str(path)


def test_figure_4_shows_results_that_are_handed_over(tmp_path, capsys):
    dense = [report(tmp_path, f"{a}.json", a, weights=470_192) for a in (0.70, 0.72)]
    runs = [
        {"method": method, "weights": 239_792, "accuracy": accuracy}
        for method, accuracy in (("raiw:snip", 0.69), ("random", 0.1), ("raiw", None))
    ]
    study = tmp_path / "accuracy.json"
    study.write_text(
        json.dumps({"network": "resnet32-cifar100", "dataset": "cifar100", "runs": runs})
    )
    given = [word for file in (*dense, str(study)) for word in ("--results", file)]
    assert run(["reproduce", "figure4a", "--pictures", str(tmp_path / "out"), *given]) == 0
    text = (tmp_path / "out/figure4a.csv").read_text()
    rows = {row["network"]: row for row in csv.DictReader(io.StringIO(text))}
    original, crafted = rows["resnet32-cifar100"], rows["raiw/resnet32-cifar100"]
    assert (original["trained_error_percent"], original["runs"]) == ("29.0", "2")
    assert float(original["deviation"]) == pytest.approx(math.sqrt(2), abs=1e-4)
    assert (crafted["trained_error_percent"], crafted["runs"]) == ("31.0", "1")
    svg = (tmp_path / "out/figure4a.svg").read_text()
    assert "Resnet-32 29.00 %" in svg
    assert "2 of 6 networks" in svg
    capsys.readouterr()


def test_results_that_a_figure_does_not_have_are_refused(tmp_path, capsys):
    out = str(tmp_path / "out")
    wrong = {
        "no figure shows 'resnet32-cifar100' with 470,191": report(
            tmp_path, "a.json", 0.7, weights=470_191
        ),
        "on 'digits'": report(tmp_path, "b.json", 0.7, weights=470_192, dataset="digits"),
        "'digits-cnn'": report(tmp_path, "c.json", 0.7, weights=40_208, network="digits-cnn"),
        "it holds no results of training": report(tmp_path, "d.json", 1.5, weights=470_192),
        "no file of results": str(tmp_path / "none.json"),
    }
    (tmp_path / "e.json").write_text("[1, NaN")
    (tmp_path / "f.json").write_bytes(b"\xff\xfe\x00")
    for message, file in [
        *wrong.items(),
        ("it holds no results", str(tmp_path / "e.json")),
        ("it holds no results", str(tmp_path / "f.json")),
    ]:
        assert run(["reproduce", "figure4a", "--pictures", out, "--results", file]) != 0
        assert message in capsys.readouterr().err
    assert not Path(out).exists()


def test_the_curves_of_figure_4c_end_where_the_formulas_say(drawn):
    curves = {}
    for row in rows_of(drawn["figure4c"]):
        key = (row["algorithm"], int(row["side"]))
        curves.setdefault(key, {})[int(row["edges"])] = float(row["entropy_nats"])
    assert {key for key in curves if key[1] > 100} == set(
        itertools.product(("regular", "random"), (256, 512))
    )
    for (algorithm, n), curve in curves.items():
        assert min(curve) == 1
        assert curve[1] == 0
        full = (1 - 1 / n) * math.log(2 * n) + math.log(n) / n
        assert curve[n * n] == pytest.approx(full, abs=1e-8)
        if algorithm != "random":
            for edges in (edges for edges in curve if edges <= n):
                assert curve[edges] == pytest.approx(math.log(edges), abs=1e-8)
            values = list(curve.values())
            assert values == sorted(values)
            other = curves["random", n]
            assert all(curve[m] >= other[m] - 1e-9 for m in curve)
    assert curves["regular", 256][2048] == pytest.approx(6.1724, abs=5e-5)
    small = min(n for _, n in curves)
    close = [abs(curves["greedy", small][m] - s) for m, s in curves["regular", small].items()]
    assert max(close) < 0.01


def test_proposition_1_by_going_through_every_graph():
    """Whether any graph lies in the range, by building all graphs of small layers."""
    for n_1, n_2 in ((2, 3), (2, 4), (3, 4)):
        cells = list(itertools.product(range(n_1), range(n_2)))
        for edges, fits in enumerate(fitting()[n_1, n_2].tolist(), 1):
            low, high = printed_range(n_1 + n_2, edges)
            assert fits == any(
                all(
                    low <= sum(cell[side] == vertex for cell in graph) <= high
                    for side, count in ((0, n_1), (1, n_2))
                    for vertex in range(count)
                )
                for graph in itertools.combinations(cells, edges)
            )


def test_proposition_1_by_running_algorithm_2():
    """Its exact probability on 3 × 3 is what plain runs of the printed algorithm show."""
    random = np.random.default_rng(5)
    runs = 1500
    left = 0
    for _ in range(runs):
        free = set(itertools.product(range(3), range(3)))
        u_degrees, v_degrees = [0] * 3, [0] * 3
        for _ in range(6):
            costs = {(u, v): (u_degrees[u] + 1) ** 2 + (v_degrees[v] + 1) ** 2 for u, v in free}
            least = sorted(edge for edge, cost in costs.items() if cost == min(costs.values()))
            u, v = least[random.integers(len(least))]
            free.remove((u, v))
            u_degrees[u] += 1
            v_degrees[v] += 1
        left += {*u_degrees, *v_degrees} != {2}
    chance = float(outside(3)[6])
    assert abs(left / runs - chance) < 4 * math.sqrt(chance * (1 - chance) / runs)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["figur2", "--pictures", "OUT"], "did you mean 'figure2'"),
        (["figure", "--pictures", "OUT"], "no result 'figure'"),
        (["table4", "--pictures", "OUT"], "'table4' is a table and has no picture; figure1,"),
        (["figure2", "--pictures", "FILE"], "give another path"),
        (["figure2", "--pictures", "FILE/inside"], "give another path"),
        (["figure2", "--pictures", "/proc/none"], "give another path"),
        (["figure2", "--dark"], "belong to --pictures FOLDER"),
        (["figure2", "--results", "FILE"], "belong to --pictures FOLDER"),
        (["figure2", "--pictures", "OUT", "--results", "FILE"], "shown by figure4a and figure4b"),
        ([], "say what to reproduce"),
    ],
)
def test_bad_input_says_what_to_do(tmp_path, capsys, words, message):
    (tmp_path / "FILE").write_text("{}")
    places = {"OUT": str(tmp_path / "OUT"), "FILE": str(tmp_path / "FILE")}
    places["FILE/inside"] = str(tmp_path / "FILE" / "inside")
    assert run(["reproduce", *(places.get(word, word) for word in words)]) not in {0, 1}
    assert message in capsys.readouterr().err
    assert not (tmp_path / "OUT").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert run(["reproduce", "figure2", "--pictures", str(tmp_path)]) != 0
    assert "permission is missing" in capsys.readouterr().err


def test_a_file_that_holds_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "figure3.svg").write_text("mine")
    command = ["reproduce", "figure3", "--pictures", str(tmp_path)]
    assert run(command) != 0
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "figure3.svg").read_text() == "mine"
    assert (tmp_path / "figure3.csv").exists()  # what is not in the way is written
    assert run([*command, "--force", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [Path(file).name for file in document["pictures"]["figure3"]] == [
        "figure3.svg",
        "figure3.csv",
        "figure3.png",
    ]
    assert document["figure3"]
    assert (tmp_path / "figure3.svg").read_text().startswith("<svg")
    assert run([*command, "--dark"]) != 0  # another PNG
