"""What a key looks like: found by scanners, and refused when mistyped, before anybody is asked."""

from hypothesis import given
from hypothesis import strategies as st

from service.contract.keys import KEY, KEY_ID, key_id_of, new_key

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"


def test_a_key_tells_its_id_and_is_found_in_any_text():
    key_id, key = new_key()
    assert key_id_of(key) == key_id
    assert KEY_ID.fullmatch(key_id)
    assert KEY.search(f'curl -H "Authorization: Bearer {key}"; echo')[0] == key
    assert len({new_key()[1] for _ in range(1000)}) == 1000


@given(st.data())
def test_no_slip_of_the_finger_gives_another_key(data):
    _, key = new_key()
    place = data.draw(st.integers(0, len(key) - 1))
    letter = data.draw(st.sampled_from(_LETTERS))
    rest = key[place + 1 :]
    slips = [key[:place] + letter + rest, key[:place] + rest, key[:place] + letter + key[place:]]
    slips += [key[:place] + rest[:1] + key[place] + rest[1:], key.swapcase(), key[:-1], key + " "]
    for slip in slips:
        assert slip == key or key_id_of(slip) is None


@given(st.text())
def test_what_is_no_key_is_none(text):
    assert key_id_of(text) is None
    assert key_id_of(f"raiw_{text}") is None
