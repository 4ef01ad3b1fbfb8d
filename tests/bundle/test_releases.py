"""What is said of a release is what its fields are, or an error that names the option."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.bundle import read_bundle
from parentage.bundle.releases import Release, releases_of
from parentage.support import EvidenceError


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("2026-01-31T12:30:00Z", "2026-01-31T12:30:00Z"),
        ("2026-01-31T12:30:00+02:00", "2026-01-31T10:30:00Z"),
        ("2026-01-31 23:59:59.9-01:00", "2026-02-01T00:59:59Z"),
    ],
)
def test_a_day_or_a_time_with_its_zone_is_a_time_of_release(said, time):
    assert Release(released=said).time == time


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("released", "2026-13-01", "--released: '2026-13-01' is no day"),
        ("released", "2026-01-31T12:00:00", "is no day"),
        ("released", "yesterday", "is no day"),
        ("released", "", "is no text"),
        ("supplied_by", "  ", "--supplied-by: '  ' is no text"),
        ("version", "x" * 1001, "--package-version"),
        ("download_location", "example.org/model", "is no address with its scheme"),
        ("download_location", "https://", "is no address"),
        ("download_location", "https://a b", "is no address"),
        ("download_location", "https://[::1", "is no address"),
        ("download_location", "https://me:key@example.org/x", "with a user in it"),
    ],
)
def test_what_is_none_is_an_error_that_names_the_option(field, value, told):
    with pytest.raises(EvidenceError, match="--") as error:
        Release(**{field: value})
    assert told in str(error.value)


@given(st.text(max_size=60), st.sampled_from(["released", "download_location", "supplied_by"]))
def test_any_text_is_one_or_an_error(text, field):
    try:
        found = Release(**{field: text})
    except EvidenceError:
        return
    assert (found.time is not None) == (field == "released")


def test_texts_are_of_the_child_unless_they_name_another(made):
    document = read_bundle(made).document
    found = releases_of(
        document,
        {
            "download_location": ["https://x.org/a?b=c", "base=https://y.org/a?b=c"],
            "supplied_by": ["parent=A = B", "nobody=C"],
        },
    )
    assert found["child"] == Release("nobody=C", None, "https://x.org/a?b=c")
    assert found["base"].download_location == "https://y.org/a?b=c"
    assert found["parent"].supplied_by == "A = B"
    with pytest.raises(EvidenceError, match="--released: is said twice of child"):
        releases_of(document, {"released": ["2026-01-31", "child=2026-02-01"]})
