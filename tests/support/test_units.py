"""Sizes and shares as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.support import Portion, size


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("4096", 4096),
        ("500kB", 500_000),
        (" 8 MiB ", 8 << 20),
        ("5GB", 5 * 10**9),
        ("1.5gib", 3 << 29),
        ("2T", 2 * 10**12),
        ("0.1kB", 100),
    ],
)
def test_sizes_are_read(text, bytes_):
    assert size(text) == bytes_
    assert Portion.parse(text).bytes == bytes_


@pytest.mark.parametrize("text", ["", "big", "-1", "1.5", "5 G B", "1e3", "5i", "5%", "nanGB"])
def test_what_is_no_size_is_said_to_be_none(text):
    with pytest.raises(ValueError, match="is no size; write 8MiB"):
        size(text)


@given(st.floats(1e-6, 100.0))
def test_shares_are_read(percent):
    assert Portion.parse(f"{percent!r}%").share == percent / 100


@pytest.mark.parametrize("text", ["0%", "-1%", "120%", "100.1%", "nan%", "inf%"])
def test_a_share_lies_between_nothing_and_everything(text):
    with pytest.raises(ValueError, match=r"more than 0%, up to 100%"):
        Portion.parse(text)


@pytest.mark.parametrize("text", ["much", "5 percent", "", "0.2"])
def test_what_is_neither_names_both(text):
    with pytest.raises(ValueError, match="neither a size nor a share; write 5GB"):
        Portion.parse(text)


@pytest.mark.parametrize("text", ["%", "a%", "1%%"])
def test_a_share_is_a_number(text):
    with pytest.raises(ValueError, match="is no share"):
        Portion.parse(text)


@pytest.mark.parametrize("given", [0, -5, "0GB"])
def test_nothing_is_no_sample(given):
    with pytest.raises(ValueError, match="bytes is none"):
        Portion.parse(given)


@pytest.mark.parametrize("given", [0.5, True, None])
def test_other_types_are_refused(given):
    with pytest.raises(TypeError, match="bytes as an int, or text"):
        Portion.parse(given)


def test_a_portion_is_parsed_once():
    portion = Portion.parse("5%")
    assert Portion.parse(portion) is portion
    assert portion.asked == "5%"
    assert portion.bytes_of(200) == 10
    assert Portion.parse(300).bytes_of(200) == 300
