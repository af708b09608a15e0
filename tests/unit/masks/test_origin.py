"""What a mask file says of the scores it was crafted from, and of its bounds."""

from dataclasses import replace

import pytest

import raiw
from raiw import craft
from tests.unit.masks.test_masks import DOCUMENT, scores


def test_a_file_states_the_kind_of_its_bounds_and_is_held_to_it():
    quick = craft(DOCUMENT, scores())
    tight_document = DOCUMENT | {"craft": DOCUMENT["craft"] | {"certify": "tight"}}
    tight = craft(tight_document, scores())
    assert (quick.origin.certificate, tight.origin.certificate) == ("quick", "tight")
    assert quick == tight
    assert tight["fc"].upper_bound <= quick["fc"].upper_bound
    for masks in (quick, tight):
        assert raiw.load(masks.to_bytes()).origin == masks.origin
        assert raiw.verify(masks.to_bytes(), importance=scores()).ok
    other = quick.origin.model_copy(update={"certificate": "tight"})
    report = raiw.verify(raiw.MaskSet(quick.values(), other).to_bytes(), importance=scores())
    assert "claims a tight bound, its spec asks for a quick one" in report.faults[0]


def test_an_older_quick_bound_that_is_lower_is_verified_by_a_tight_one():
    masks = craft(DOCUMENT, scores())
    tight = craft(DOCUMENT | {"craft": DOCUMENT["craft"] | {"certify": "tight"}}, scores())
    assert tight["fc"].upper_bound < masks["fc"].upper_bound
    for share, proven in ((0.5, True), (-0.5, False)):
        bound = (1 - share) * tight["fc"].upper_bound + share * masks["fc"].upper_bound
        fc = replace(masks["fc"], upper_bound=max(bound, masks["fc"].kept_score))
        file = raiw.MaskSet([fc, *(m for m in masks.values() if m.name != "fc")], masks.origin)
        assert raiw.verify(file.to_bytes(), importance=scores()).ok is proven


def test_a_file_of_before_bounds_had_kinds_is_read_and_written_as_it_was():
    masks = craft(DOCUMENT | {"craft": DOCUMENT["craft"] | {"certify": "tight"}}, scores())
    spec = masks.origin.spec | {"craft": DOCUMENT["craft"]}
    older = masks.origin.model_copy(update={"certificate": None, "spec": spec})
    file = raiw.MaskSet(masks.values(), older).to_bytes()
    assert b"certificate" not in file
    assert raiw.load(file).to_bytes() == file
    assert raiw.verify(file, importance=scores()).ok


def test_scores_that_changed_after_crafting_are_not_recorded_as_those_crafted_from():
    arrays = {name: array.copy() for name, array in scores().items()}
    same, masks = craft(DOCUMENT, arrays), craft(DOCUMENT, arrays)
    assert same.importance == raiw.craft(DOCUMENT, scores()).importance
    arrays["fc"] *= masks["fc"].numpy()
    with pytest.raises(raiw.RaiwError, match="layer 'fc': its scores have changed since"):
        masks.to_bytes()
