"""Masks, their file, verification, comparison and the pipeline."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save, save_file

import raiw
from raiw.canonical import canonical_json
from raiw.errors import GateFailed, InvalidMasks, NotFound
from raiw.graphs import Graph
from raiw.pipeline import craft, craft_mask, origin_of
from raiw.specs.spec import Spec
from raiw.statistics import describe

DOCUMENT = {
    "name": "toy",
    "layers": [
        {"name": "fc", "kind": "linear", "in_features": 20, "out_features": 12},
        {
            "name": "conv",
            "kind": "conv2d",
            "in_channels": 8,
            "out_channels": 16,
            "kernel_size": 3,
            "groups": 2,
        },
        {"name": "head", "kind": "linear", "in_features": 12, "out_features": 3},
    ],
    "craft": {"degree": 3, "rules": [{"match": "head", "dense": True}]},
}


@pytest.fixture
def masks():
    return craft(DOCUMENT)


def scores():
    draw = np.random.default_rng(3).standard_normal
    return {"fc": draw((12, 20)), "conv.weight": draw((16, 4, 3, 3)).astype(np.float32)}


def with_bits(masks, name, kept):
    """Return masks with one layer's bits exchanged, its facts kept."""
    changed = [
        replace(mask, graph=Graph.from_bool(kept)) if mask.name == name else mask
        for mask in masks.values()
    ]
    return raiw.MaskSet(changed, masks.origin, claimed_digest=masks.digest)


def test_a_mask_in_every_form_is_the_same_mask(masks):
    for mask in masks.values():
        kept = mask.numpy()
        assert kept.shape == mask.shape
        assert kept.sum() == mask.edges == mask.requested
        assert np.array_equal(mask.csr().toarray(), kept)
        assert np.array_equal(np.packbits(kept, axis=1, bitorder="little"), mask.packed)
        assert np.array_equal(mask.out_degrees(), kept.sum(axis=1))
    assert np.array_equal(masks["fc"].in_degrees(), masks["fc"].numpy().sum(axis=0))
    assert masks["conv"].in_degrees().tolist() == [3] * 8
    assert masks["conv"].weights == 24 * 9
    assert masks.weights == 60 + 24 * 9 + 36
    assert masks.dense_weights == 240 + 64 * 9 + 36


def test_a_mask_as_torch_tensor(masks):
    torch = pytest.importorskip("torch")
    tensor = masks["fc"].torch()
    assert tensor.dtype == torch.bool
    assert np.array_equal(tensor.numpy(), masks["fc"].numpy())


def test_the_nearest_layer_is_named(masks):
    with pytest.raises(KeyError, match="did you mean 'conv'"):
        _ = masks["conv1"]
    assert "conv1" not in masks
    assert list(masks) == ["fc", "conv", "head"]


def test_a_file_gives_back_everything(masks, tmp_path):
    crafted = craft(DOCUMENT, scores())
    crafted.save(tmp_path / "m.safetensors")
    loaded = raiw.load(tmp_path / "m.safetensors")
    assert loaded == crafted != masks
    assert loaded.to_bytes() == crafted.to_bytes()
    assert loaded.spec == Spec.parse(DOCUMENT)
    assert (loaded.algorithm, loaded.seed) == ("raiw", 0)
    assert loaded.importance == crafted.importance
    assert loaded["fc"].kept_score == crafted["fc"].kept_score
    assert loaded["fc"].facts == crafted["fc"].facts
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_the_file_is_what_the_safetensors_package_writes(masks):
    data = masks.to_bytes()
    tensors = load(data)
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "conv.bitmask": (16, 1),
        "fc.bitmask": (12, 3),
        "head.bitmask": (3, 2),
    }
    assert data == save(tensors, {"raiw": canonical_json(masks.to_json())})


def test_the_digest_can_be_computed_by_anybody(masks):
    sha256 = hashlib.sha256()
    for name in sorted(masks):
        kept = masks[name].numpy()
        sha256.update(json.dumps([name, *kept.shape], separators=(",", ":")).encode() + b"\n")
        sha256.update(np.packbits(kept, axis=1, bitorder="little").tobytes())
    assert masks.digest == f"sha256:{sha256.hexdigest()}"


def test_a_failed_save_leaves_the_old_file(masks, tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")

    def broken(self):
        yield b"half"
        raise RuntimeError

    monkeypatch.setattr(raiw.MaskSet, "chunks", broken)
    with pytest.raises(RuntimeError):
        masks.save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(NotFound, match="no folder"):
        masks.save(tmp_path / "none" / "m.safetensors")


def test_foreign_files_are_refused(masks, tmp_path):
    with pytest.raises(InvalidMasks, match="not a safetensors file"):
        raiw.load(b"PK\x03\x04 some zip archive")
    save_file({"w": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(InvalidMasks, match="not a mask file"):
        raiw.load(tmp_path / "weights.safetensors")
    newer = canonical_json(masks.to_json() | {"format": "raiw.masks@2"})
    with pytest.raises(InvalidMasks, match=r"'raiw\.masks@2'"):
        raiw.load(save(load(masks.to_bytes()), {"raiw": newer}))
    with pytest.raises(NotFound, match=r"none\.safetensors"):
        raiw.load(tmp_path / "none.safetensors")


def test_metadata_of_the_same_meaning_in_other_bytes_is_refused(masks):
    tiny = [replace(mask, kept_score=1e-300) for mask in masks.values()]
    data = raiw.MaskSet(tiny, masks.origin).to_bytes()
    assert raiw.load(data).to_bytes() == data
    with pytest.raises(InvalidMasks, match="not canonical JSON"):
        raiw.load(data.replace(b"1e-300", b"1E-300", 1))


def test_tensors_of_other_layers_are_refused(masks):
    tensors = load(masks.to_bytes())
    tensors["other.bitmask"] = tensors.pop("head.bitmask")
    with pytest.raises(InvalidMasks, match="not those of its layers"):
        raiw.load(save(tensors, {"raiw": canonical_json(masks.to_json())}))


def test_verify_holds_for_what_was_crafted(tmp_path):
    masks = craft(DOCUMENT, scores())
    report = raiw.verify(masks, spec=DOCUMENT, importance=scores())
    assert report.ok, report.faults
    assert [check.name for check in report.checks] == [
        "digest",
        "facts",
        "edges",
        "contract",
        "claims",
        "spec",
        "importance",
        "certificates",
    ]
    report.require()
    json.dumps(report.to_json())


def test_verify_sees_uneven_degrees(masks):
    kept = masks["fc"].numpy()
    row, column = np.argwhere(kept)[0]
    other = np.argwhere(~kept[row])[0][0]
    kept[row, [column, other]] = False, True
    report = raiw.verify(with_bits(masks, "fc", kept))
    broken = {check.name for check in report.checks if not check.ok}
    assert broken == {"digest", "facts", "contract"}
    with pytest.raises(GateFailed, match="and 2 more"):
        report.require()


def test_verify_sees_missing_edges(masks):
    kept = masks["fc"].numpy()
    kept[tuple(np.argwhere(kept)[0])] = False
    report = raiw.verify(with_bits(masks, "fc", kept))
    assert "layer 'fc': 59 edges, 60 were asked for" in report.faults


def test_verify_sees_another_spec_and_other_scores():
    masks = craft(DOCUMENT, scores())
    other = DOCUMENT | {"craft": {"degree": 4, "rules": DOCUMENT["craft"]["rules"]}}
    assert "the spec asks for 80" in raiw.verify(masks, spec=other).faults[0]
    fewer = DOCUMENT | {"layers": DOCUMENT["layers"][1:]}
    assert "layer 'fc' is in the masks only" in raiw.verify(masks, spec=fewer).faults
    louder = {name: 2 * array for name, array in scores().items()}
    failed = [check for check in raiw.verify(masks, importance=louder).checks if not check.ok]
    assert [(check.name, len(check.faults)) for check in failed] == [
        ("importance", 3),
        ("certificates", 2),
    ]
    seeded = DOCUMENT | {"craft": DOCUMENT["craft"] | {"seed": 5}}
    assert "with seed 0, the spec asks for 5" in raiw.verify(craft(DOCUMENT), seeded).faults[0]


def test_a_certificate_is_stored_and_cannot_be_invented(tmp_path):
    masks = craft(DOCUMENT, scores())
    masks.save(tmp_path / "m.safetensors")
    fc = raiw.load(tmp_path / "m.safetensors")["fc"]
    assert fc.upper_bound == masks["fc"].upper_bound >= fc.kept_score
    assert 0 <= fc.gap < 0.1
    boast = [replace(mask, upper_bound=mask.kept_score) for mask in masks.values()]
    report = raiw.verify(raiw.MaskSet(boast, masks.origin), importance=scores())
    assert [check.name for check in report.checks if not check.ok] == ["certificates"]
    modest = tampered(masks, upper_bound=lambda mask: mask.upper_bound and mask.upper_bound + 1)
    assert raiw.verify(modest, importance=scores()).ok
    silent = raiw.verify(tampered(masks, upper_bound=lambda _: None), importance=scores())
    assert "by these scores, of None by the masks" in silent.faults[0]


def tampered(masks, craft_section=None, **fields):
    """Return the file of masks that claims something else, with its digests made to fit."""
    origin = masks.origin
    spec = origin.spec | {"craft": origin.spec["craft"] | (craft_section or {})}
    changes = {name: fields.pop(name) for name in tuple(fields) if name in ("algorithm", "seed")}
    origin = origin.model_copy(update=changes | {"spec": spec})
    layers = [replace(mask, **{k: v(mask) for k, v in fields.items()}) for mask in masks.values()]
    return raiw.MaskSet(layers, origin).to_bytes()


BOAST = {"upper_bound": lambda mask: mask.kept_score}


@pytest.mark.parametrize(
    ("craft_section", "fields", "words"),
    [
        ({"certify": False}, BOAST, "its spec certifies none"),
        ({}, BOAST | {"algorithm": "magnitude"}, "its spec asks for 'raiw'"),
        ({"algorithm": "magnitude"}, BOAST | {"algorithm": "magnitude"}, "certifies none"),
        ({}, {"algorithm": "newer"}, "its spec asks for 'raiw'"),
        ({"degree": 4}, {}, "60 edges, its spec asks for 80"),
        ({"group_outputs": 2}, {}, "not whole blocks"),
        ({}, {"kept_score": lambda _: 1e9}, "claims a score of 1000000000.0 under"),
        ({}, {"upper_bound": lambda _: -1e9}, "under a bound of -1000000000.0"),
    ],
)
def test_no_claim_of_a_tampered_file_is_believed(craft_section, fields, words):
    masks = craft(DOCUMENT, scores())
    file = tampered(masks, craft_section, **fields)
    for importance in (None, scores()):
        report = raiw.verify(file, importance=importance)
        assert any(words in fault for fault in report.faults), report.faults


@pytest.mark.parametrize(
    ("name", "value"), [("density", 0.5), ("density", None), ("edges", True), ("extra", 1)]
)
def test_no_statistic_of_a_file_is_left_unread(masks, name, value):
    document = masks.to_json()
    document["layers"][0]["facts"][name] = value
    document.pop("checksum")
    document["checksum"] = "sha256:" + hashlib.sha256(canonical_json(document).encode()).hexdigest()
    tensors = load(masks.to_bytes())
    with pytest.raises(InvalidMasks, match=r"statistics|cannot be read"):
        raiw.load(save(tensors, {"raiw": canonical_json(document)}))


def test_scores_of_nothing_are_not_believed(masks):
    report = raiw.verify(tampered(masks, kept_score=lambda _: 1.0))
    assert "was crafted from no scores" in report.faults[0]


def test_another_seed_or_reading_is_not_the_spec(masks):
    assert "seed 1, its spec asks for 0" in raiw.verify(tampered(masks, seed=1)).faults[0]
    scored = craft(DOCUMENT, scores())
    other = DOCUMENT | {"importance": {"method": "magnitude"}}
    assert "read as scores, the spec asks for magnitude" in raiw.verify(scored, other).faults[0]
    picky = DOCUMENT | {"craft": DOCUMENT["craft"] | {"algorithm": "raiw"}}
    assert "needs importance scores" in raiw.verify(masks, picky).faults[0]


def test_groups_share_the_edges_evenly():
    conv = {"layers": DOCUMENT["layers"][1:2], "craft": {"degree": 4}}
    mask = craft(conv)["conv"]
    kept = np.zeros(mask.shape, bool)
    kept[:8] = True
    graph = Graph.from_bool(kept)
    uneven = replace(mask, graph=graph, facts=describe(graph, 2))
    assert raiw.verify(raiw.MaskSet([uneven], craft(conv).origin)).faults == [
        "layer 'conv': group 0: 32 edges, its share is 16"
    ]


def test_members_of_a_group_share_inputs_where_the_given_spec_says_so():
    fc = {"layers": DOCUMENT["layers"][:1], "craft": {"degree": 4}}
    shared = fc | {"craft": {"degree": 4, "group_outputs": 4}}
    assert "not whole blocks" in raiw.verify(craft(fc), shared).faults[0]


def test_a_bound_of_zero_has_no_gap():
    masks = craft(DOCUMENT, scores())
    none = raiw.load(tampered(masks, upper_bound=lambda _: 0.0))
    assert none["fc"].gap is None
    assert craft(DOCUMENT, {k: 0 * v for k, v in scores().items()})["fc"].gap == 0


def test_how_scores_were_computed_is_the_word_of_their_file(tmp_path):
    spec = Spec.parse(DOCUMENT)
    save_file(scores(), tmp_path / "s.safetensors", {"raiw": '{"method": "taylor"}'})
    masks = craft(spec, tmp_path / "s.safetensors")
    assert raiw.verify(masks, importance=tmp_path / "s.safetensors").ok
    other = masks.origin.model_copy(update={"scored_by": {"method": "snip"}})
    report = raiw.verify(raiw.MaskSet(masks.values(), other), None, tmp_path / "s.safetensors")
    assert report.faults == ["scored by {'method': 'snip'}, these scores by {'method': 'taylor'}"]


def test_masks_are_certified_only_where_that_means_something(masks):
    assert masks["fc"].upper_bound is None is masks["fc"].gap
    for craft_section in ({"algorithm": "random", "degree": 3}, {"degree": 3, "certify": False}):
        other = craft({"layers": DOCUMENT["layers"][:1], "craft": craft_section}, scores())
        assert other["fc"].kept_score is not None
        assert other["fc"].upper_bound is None
        assert raiw.verify(other, importance=scores()).ok


def test_a_file_whose_spec_makes_no_sense_is_told_not_raised(masks):
    origin = masks.origin.model_copy(update={"spec": {"layers": DOCUMENT["layers"]}})
    report = raiw.verify(raiw.MaskSet(masks.values(), origin).to_bytes())
    assert any("cannot be crafted: layer 'fc' has no target" in fault for fault in report.faults)


def test_a_difference_counts_edges(masks):
    other = craft(DOCUMENT | {"craft": DOCUMENT["craft"] | {"seed": 1}})
    difference = masks.diff(other)
    for layer in difference.layers:
        a, b = masks[layer.name].numpy(), other[layer.name].numpy()
        assert layer.shared == (a & b).sum()
        assert layer.only_a == (a & ~b).sum()
        assert layer.only_b == (b & ~a).sum()
        assert layer.jaccard == (a & b).sum() / (a | b).sum()
    assert not difference.same
    assert masks.diff(craft(DOCUMENT)).same
    json.dumps(difference.to_json())


def test_a_difference_names_layers(masks):
    layers = [DOCUMENT["layers"][0] | {"in_features": 10}, DOCUMENT["layers"][2] | {"name": "last"}]
    difference = masks.diff(craft({"layers": layers, "craft": {"degree": 1}}))
    assert difference.reshaped == (("fc", (12, 20), (12, 10)),)
    assert difference.only_a == ("conv", "head")
    assert difference.only_b == ("last",)
    assert not difference.same
    wider = {"layers": [DOCUMENT["layers"][0] | {"in_features": 24}], "craft": {"degree": 1}}
    narrow = {"layers": DOCUMENT["layers"][:1], "craft": {"degree": 1}}
    assert not craft(wider).diff(craft(narrow)).same  # by its shape alone


def test_statistics_are_computed_once(masks):
    assert masks["fc"].stats is masks.stats()["fc"]
    assert masks.stats()["fc"].edges == 60


def test_progress_and_stopping():
    seen = []
    craft(DOCUMENT, on_layer=lambda done, total, mask: seen.append((done, total, mask.name)))
    assert seen == [(1, 3, "fc"), (2, 3, "conv"), (3, 3, "head")]
    done = []

    def check():
        if len(done) == 2:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        craft(DOCUMENT, on_layer=lambda *layer: done.append(layer), check=check)
    assert len(done) == 2


def test_layers_crafted_apart_make_the_same_masks(masks):
    spec = Spec.parse(DOCUMENT)
    plan = spec.plan()
    apart = [craft_mask(layer, plan.algorithm, spec.craft, None) for layer in reversed(plan.layers)]
    assert raiw.MaskSet(apart, origin_of(spec, None)) == masks
    assert raiw.MaskSet(reversed(apart), origin_of(spec, None)).to_bytes() == masks.to_bytes()
    assert all(mask.facts == describe(mask.graph, mask.groups) for mask in apart)
