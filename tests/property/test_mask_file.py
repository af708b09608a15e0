"""Laws of the mask file: nothing is lost, nothing changes unseen, one meaning has one digest."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

import raiw
from raiw.canonical import canonical_json
from raiw.errors import InvalidMasks
from raiw.graphs import Graph
from raiw.masks.file import Origin
from raiw.masks.mask import Mask
from raiw.specs.layers import Conv
from raiw.statistics import describe

SIDE = st.integers(1, 40)
SCORE = st.none() | st.floats(allow_nan=False, allow_infinity=False)
NAME = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,8}", fullmatch=True)


@st.composite
def masks_of_a_layer(draw, name):
    groups = draw(st.integers(1, 3))
    layer = Conv(
        name=name,
        kind=draw(st.sampled_from(["conv1d", "conv2d", "conv_transpose2d", "conv_transpose3d"])),
        in_channels=draw(SIDE) * groups,
        out_channels=draw(SIDE) * groups,
        kernel_size=draw(st.integers(1, 5)),
        groups=groups,
    )
    seed, density = draw(st.integers(0, 99)), draw(st.floats(0, 1))
    graph = Graph.from_bool(np.random.default_rng(seed).random(layer.graph_shape) < density)
    return Mask(
        layer=layer,
        graph=graph,
        requested=graph.edges,
        completed=draw(st.integers(0, 1 << 31)),
        kept_score=draw(SCORE),
        facts=describe(graph, groups),
    )


@st.composite
def mask_sets(draw):
    names = draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    masks = [draw(masks_of_a_layer(name)) for name in names]
    layers = [mask.layer.model_dump(mode="json") for mask in masks]
    rules = [{"match": mask.name, "edges": mask.edges} for mask in masks]
    craft = {"algorithm": "magnitude", "rules": rules}
    origin = Origin(
        spec={"name": draw(st.text(max_size=9)), "layers": layers, "craft": craft},
        algorithm="magnitude",
        revision=1,
        seed=draw(st.integers(0, (1 << 64) - 1)),
        importance=f"sha256:{draw(st.integers(0, (1 << 256) - 1)):064x}",
    )
    return raiw.MaskSet(masks, origin)


@given(mask_sets())
def test_bytes_to_masks_to_bytes_is_the_identity(masks):
    data = masks.to_bytes()
    loaded = raiw.load(data)
    assert loaded.to_bytes() == data
    assert loaded.origin == masks.origin
    assert all(np.array_equal(loaded[name].numpy(), masks[name].numpy()) for name in masks)
    assert raiw.verify(data).faults == []


@given(mask_sets(), st.data())
@settings(max_examples=300)
def test_any_flipped_bit_is_detected(masks, data):
    damaged = bytearray(masks.to_bytes())
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit >> 3] ^= 1 << (bit & 7)
    assert not sound(bytes(damaged))
    with pytest.raises(InvalidMasks):
        raiw.load(bytes(damaged))


@given(mask_sets(), st.data())
def test_any_cut_is_detected(masks, data):
    whole = masks.to_bytes()
    assert not sound(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert not sound(whole + b"\0")


def sound(data):
    try:
        return raiw.verify(data).ok
    except InvalidMasks:
        return False


@given(mask_sets(), st.randoms())
def test_the_digest_knows_neither_order_nor_container(masks, random):
    shuffled = list(masks.values())
    random.shuffle(shuffled)
    assert raiw.MaskSet(shuffled, masks.origin).digest == masks.digest
    elsewhere = save(load(masks.to_bytes()), {"raiw": canonical_json(masks.to_json())})
    assert raiw.load(elsewhere).digest == masks.digest


@given(mask_sets())
def test_the_digest_knows_names_shapes_and_bits(masks):
    first, *rest = masks.values()
    bits = first.graph.to_bool()
    bits[0, 0] ^= True
    others = [
        variant(first, graph=Graph.from_bool(bits)),
        variant(first, layer=first.layer.model_copy(update={"name": f"{first.name}x"})),
        variant(first, graph=Graph((first.shape[0], first.shape[1] + 1), wider(first))),
    ]
    digests = {raiw.MaskSet([other, *rest], masks.origin).digest for other in others}
    assert len(digests | {masks.digest}) == 4


def variant(mask, **changes):
    fields = {name: getattr(mask, name) for name in mask.__dataclass_fields__}
    return Mask(**fields | changes)


def wider(mask):
    kept = np.pad(mask.numpy(), ((0, 0), (0, 1)))
    return np.packbits(kept, axis=1, bitorder="little")


@given(mask_sets(), st.data())
def test_a_bit_past_the_last_input_is_refused_though_every_digest_is_right(masks, data):
    """It would count as an edge for whoever counts bits, and be none for whoever counts cells."""
    odd = [mask for mask in masks.values() if mask.shape[1] % 8]
    assume(odd)
    chosen = data.draw(st.sampled_from(odd))
    bits = chosen.graph.bits.copy()
    row = data.draw(st.integers(0, bits.shape[0] - 1))
    bits[row, -1] |= 1 << data.draw(st.integers(chosen.shape[1] % 8, 7))
    dirty = replace(chosen, graph=Graph(chosen.shape, bits))
    file = raiw.MaskSet(
        [dirty if mask is chosen else mask for mask in masks.values()], masks.origin
    ).to_bytes()
    for verify in (True, False):
        with pytest.raises(InvalidMasks, match="bits past its last input"):
            raiw.load(file, verify=verify)
