"""What is read of a document is checked, and errors say where."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.bundle import EVIDENCE, read_document
from parentage.support import EvidenceError


@pytest.fixture(scope="module")
def told(made):
    return json.loads((made / EVIDENCE).read_text("utf-8"))


def test_checkpoints_are_told_by_role(told):
    document = read_document(json.dumps(told), EVIDENCE)
    assert [(role, each.name) for role, each in document.inputs.by_role] == [
        *(("child", "child"), ("base", "base"), ("parent", "parent"), ("control", "sibling"))
    ]
    assert document.is_digested
    assert document.is_exact
    assert document.recipe.names == ["parent", "base"]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("inputs.child.files", 5, r"\$\.inputs\.child\.files"),
        ("verdict.kind", None, r"\$\.verdict\.kind"),
        ("relations", {}, r"\$\.relations"),
        ("coverage.share", "x", r"\$\.coverage\.share"),
        ("schema", "parentage.evidence/9", "a newer one made it"),
        ("schema", "parentage.evidence/1", "trace the checkpoints again"),
        ("schema", "other/1", "no evidence of a trace"),
        ("schema", 2, "no evidence of a trace"),
    ],
)
def test_an_error_names_file_and_place(told, path, value, said):
    again = json.loads(json.dumps(told))
    *way, last = path.split(".")
    place = again
    for key in way:
        place = place[key]
    place[last] = value
    with pytest.raises(EvidenceError, match=rf"^x/evidence\.json: .*{said}"):
        read_document(json.dumps(again), "x/evidence.json")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"5", b"{", b"\xff\xfe", b"[" * 10**5, b"{}", b"null"]
)
def test_what_is_no_document_is_an_error(data):
    with pytest.raises(EvidenceError, match=r"^evidence\.json: "):
        read_document(data, EVIDENCE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200)
@given(data=st.data(), value=JSON)
def test_any_value_in_any_place_is_read_or_refused(told, data, value):
    again = json.loads(json.dumps(told))
    place = again
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            place[key] = value
            break
        place = place[key]
    with contextlib.suppress(EvidenceError):
        read_document(json.dumps(again), EVIDENCE)
