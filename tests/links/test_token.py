import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate.links import token

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
link_ids = st.integers(0, 2**63 - 1)
nonces = st.binary(min_size=3, max_size=3)
instants = st.integers(0, 2**32 - 1).map(lambda seconds: datetime.fromtimestamp(seconds + 0.5, UTC))


@given(link_ids, instants, nonces)
def test_what_was_made_is_read_again_to_the_second(link_id, at, nonce):
    text = token.make(link_id, at, nonce)

    assert len(text) == 32
    assert token.read(text) == token.Token(link_id, at.replace(microsecond=0), nonce)


@given(st.integers(0, 31), st.characters(min_codepoint=33, max_codepoint=126))
def test_one_other_character_makes_it_nothing(place, character):
    text = token.make(7, NOON, b"abc")
    altered = text[:place] + character + text[place + 1 :]

    assert (token.read(altered) is None) == (altered != text)


@given(st.binary(min_size=24, max_size=24))
def test_random_bytes_are_no_token(raw):
    from affiliate import security

    assert token.read(security.b64url(raw)) is None


@given(st.text(max_size=40))
def test_no_text_at_all_makes_it_fail(text):
    assert token.read(text) is None


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(lambda text: text[:-1], id="last character missing"),
        pytest.param(lambda text: text[1:], id="first character missing"),
        pytest.param(lambda text: text + "A", id="one too many"),
        pytest.param(lambda text: text + "\n", id="a line end behind it"),
        pytest.param(lambda text: text + "=", id="padding"),
        pytest.param(lambda text: text.replace("_", "/").replace("-", "+") + " ", id="a space"),
        pytest.param(lambda text: "", id="nothing"),
        pytest.param(lambda text: text.lower(), id="lower case"),
    ],
)
def test_a_token_that_was_cut_or_bent_is_nothing(cut):
    assert token.read(cut(token.make(7, NOON, b"abc"))) is None


def test_another_instance_s_token_is_nothing(app, monkeypatch):
    text = token.make(7, NOON, b"abc")
    monkeypatch.setitem(app.config, "SECRET_KEY", "some other instance's secret key, also long")
    monkeypatch.setitem(app.extensions, "keys", {})

    assert token.read(text) is None


def test_a_clock_far_off_still_makes_a_token():
    late = datetime(2200, 1, 1, tzinfo=UTC)
    early = datetime(1900, 1, 1, tzinfo=UTC)

    assert token.read(token.make(7, late, b"abc")).issued_at.year == 2106
    assert token.read(token.make(7, early, b"abc")).issued_at.year == 1970


def test_ids_are_drawn_many_at_a_time_and_never_twice():
    drawn = [token.fresh_id() for _ in range(3 * token.IDS_AT_ONCE)]

    assert {len(each) for each in drawn} == {16}
    assert len(set(drawn)) == len(drawn)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_draws_ids_of_its_own():
    token.fresh_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, token.fresh_id())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reading, 16) not in [token.fresh_id() for _ in range(token.IDS_AT_ONCE)]
    os.close(reading)
    os.close(writing)
