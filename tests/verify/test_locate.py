"""Which checkpoint of the evidence is meant."""

import pytest
from common.bundles import PLACES
from conftest import family_path
from parentage.bundle import read_bundle
from parentage.support import EvidenceError
from parentage.verify import placed

PARENT, SIBLING = str(PLACES["parent"]), str(PLACES["sibling"])
OTHER = str(family_path("grandchild"))


@pytest.fixture(scope="module")
def document(made):
    return read_bundle(made).document


def test_by_name_by_role_by_folder_and_as_the_only_one(document):
    assert placed(document, [("child", "a"), ("base", "b")]) == {"child": "a", "base": "b"}
    assert placed(document, [("sibling", "c")]) == {"sibling": "c"}
    assert placed(document, parents=[(None, PARENT)]) == {"parent": PARENT}
    assert placed(document, parents=[(None, OTHER)]) == {"parent": OTHER}
    assert placed(document, controls=[("sibling", "x")]) == {"sibling": "x"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"files": [("x", "y")]}, "'x' is no checkpoint of this evidence"),
        ({"files": [("base", "y"), ("base", "z")]}, "'base' is given twice: y and z"),
        ({"parents": [(None, OTHER), (None, SIBLING)]}, "which parent it is, is not clear"),
        ({"parents": [(None, PARENT), (None, OTHER)]}, "none are left"),
        ({"parents": [("parent", "x"), ("parent", "y")]}, "'parent' is given twice"),
    ],
)
def test_what_is_not_clear_is_an_error_that_says_how_to_say_it(document, given, said):
    with pytest.raises(EvidenceError, match=said):
        placed(document, **given)


def test_a_child_that_is_called_otherwise_is_meant_by_its_role(document):
    from msgspec.structs import replace

    child = replace(document.inputs.child, name="org/model")
    renamed = replace(document, inputs=replace(document.inputs, child=child))
    assert placed(renamed, [("child", "a")]) == {"org/model": "a"}
