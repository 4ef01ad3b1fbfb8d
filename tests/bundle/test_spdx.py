"""The SPDX document is one by the bindings that SPDX generates from its model."""

import io
import json

import pytest
from common.bundles import traced
from parentage.bundle import read_bundle
from parentage.bundle.spdx import spdx
from spdx_python_model import v3_0_1


def checked(text):
    """Return the objects of a document that SPDX's own classes read: types, values, cardinality."""
    objects = v3_0_1.SHACLObjectSet()
    v3_0_1.JSONLDDeserializer().read(io.BytesIO(text.encode()), objects)
    objects.link()
    own = json.loads(text)["@graph"]
    ids = {each["spdxId"] for each in own if "spdxId" in each}
    missing = {each for each in objects.missing_ids if each in ids or each.startswith("urn:")}
    assert not missing
    return objects


@pytest.fixture(scope="module")
def text(made):
    return spdx(read_bundle(made))


def test_checkpoints_are_packages_with_how_they_are_related(text):
    objects = checked(text)
    packages = {each.name: each for each in objects.foreach_type(v3_0_1.ai_AIPackage)}
    assert packages.keys() == {"child", "base", "parent", "sibling"}
    related = [
        (each.from_.name, each.relationshipType.rpartition("/")[2], getattr(to, "name", None))
        for each in objects.foreach_type(v3_0_1.Relationship)
        for to in each.to
    ]
    for expected in [
        ("base", "ancestorOf", "child"),
        ("parent", "ancestorOf", "child"),
        ("child", "hasVariant", "sibling"),
        ("child", "hasEvidence", "evidence.json"),
    ]:
        assert expected in related
    assert sum(kind == "hasDeclaredLicense" for _, kind, _ in related) == 4
    (document,) = objects.foreach_type(v3_0_1.SpdxDocument)
    assert [each.rpartition("/")[2] for each in document.profileConformance] == ["core", "software"]


def test_the_bindings_refuse_what_the_model_does_not_allow(text):
    told = json.loads(text)
    relation = next(each for each in told["@graph"] if each["type"] == "Relationship")
    relation["relationshipType"] = "parentOf"
    with pytest.raises((ValueError, TypeError)):
        checked(json.dumps(told))


def test_files_without_digests_are_not_told(tmp_path):
    traced(tmp_path, digest=None)
    objects = checked(spdx(read_bundle(tmp_path)))
    names = [each.name for each in objects.foreach_type(v3_0_1.software_File)]
    assert names == ["evidence.json"]
