"""Several checkpoints: a matrix of relations."""

import json

import parentage
import pytest
from conftest import family_path


@pytest.fixture(scope="module")
def found():
    return parentage.compare(*(family_path(name) for name in ("base", "parent", "child")))


def test_each_two_are_compared_in_the_order_given(found):
    assert found.names == ("base", "parent", "child")
    pairs = [(each.first, each.second) for each in found.pairs]
    assert pairs == [("base", "parent"), ("base", "child"), ("parent", "child")]
    assert found.relation("child", "base") == found.pairs[1].relation
    with pytest.raises(KeyError):
        found.relation("base", "nobody")


def test_the_table_and_the_document_say_the_same(found):
    document = json.loads(found.to_json())
    assert document["schema"] == "parentage.comparison/1"
    assert [each["relation"] for each in document["pairs"]] == found.table["relation"].to_list()
    assert document["pairs"][0]["cosine"] == found.table["cosine"][0]
    assert len(document["pairs"][0]["components"]) == 3
    assert "base and parent: close relatives" in repr(found)


def test_names_are_made_distinct():
    found = parentage.compare(family_path("base"), family_path("base"))
    assert found.names == ("base", "base#2")
    assert found.pairs[0].relation == "identical"
