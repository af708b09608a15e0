"""The public names of raiw."""

import pytest

import raiw


def test_every_public_name_is_there_and_sorted():
    assert raiw.__all__ == sorted(raiw.__all__)
    assert set(raiw.__all__) == set(raiw._HOMES)
    for name in raiw.__all__:
        assert getattr(raiw, name).__name__ == name
    assert {*raiw.__all__, "__version__"} <= set(dir(raiw))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'crafts'"):
        _ = raiw.crafts
