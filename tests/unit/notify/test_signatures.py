"""Whose word about a notice is taken: only that of who has the secret, and only while it is fresh."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.signatures import FRESH_FOR, is_signed, secret_of, signature
from tests.unit.notify.pages import T0

SECRET = b"k" * 32
STAMP = str(int(T0.timestamp()))


@given(body=st.binary(), late_s=st.integers(-300, 300))
def test_what_is_signed_and_fresh_is_taken(body, late_s):
    assert is_signed(SECRET, STAMP, signature(SECRET, STAMP, body), body, T0 + timedelta(seconds=late_s))


@given(body=st.binary(), other=st.binary(), secret=st.binary(min_size=1).filter(lambda it: it != SECRET))
def test_another_body_another_secret_or_another_time_stamp_is_not(body, other, secret):
    signed = signature(SECRET, STAMP, body)
    assert not is_signed(secret, STAMP, signed, body, T0)
    assert not is_signed(SECRET, str(int(STAMP) + 1), signed, body, T0)
    if other != body:
        assert not is_signed(SECRET, STAMP, signed, other, T0)


@pytest.mark.parametrize("late", [FRESH_FOR + timedelta(seconds=1), -FRESH_FOR - timedelta(seconds=1)])
def test_a_word_that_is_not_fresh_is_refused_though_it_is_signed(late):
    assert not is_signed(SECRET, STAMP, signature(SECRET, STAMP, b""), b"", T0 + late)


@given(stamp=st.text(), given_=st.text())
def test_no_garbage_is_taken_for_a_signature(stamp, given_):
    assert not is_signed(SECRET, stamp, given_, b"", T0)


def test_a_provider_has_the_secret_of_its_own_file_and_none_that_lies_elsewhere_or_is_too_short(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "hub").write_bytes(SECRET + b"\n")
    (folder / "weak").write_bytes(b"k" * 31)
    (tmp_path / "outside").write_bytes(SECRET)
    assert secret_of(folder, "hub") == SECRET
    assert [secret_of(folder, name) for name in ("weak", "nobody", "../outside", "..", "", ".", "HUB")] == [None] * 7
    assert secret_of(None, "hub") is None
