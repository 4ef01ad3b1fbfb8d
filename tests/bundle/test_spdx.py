"""The SPDX document is one by the bindings that SPDX generates from its model."""

import io
import json

import pytest
from common.bundles import traced
from parentage.bundle import read_bundle
from parentage.bundle.releases import OPTIONS, Release
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


RELEASE = {
    "supplied_by": "Example Lab", "released": "2026-01-31",
    "download_location": "https://example.org/model", "version": "1.0",
}  # fmt: skip


def conformance(objects):
    """Return what a document claims, and what the AI profile asks for that a package lacks.

    SPDX 3.0.1, AIPackage, "External properties cardinality updates", and AI, "Profile conformance".
    """
    (document,) = objects.foreach_type(v3_0_1.SpdxDocument)
    claims = [each.rpartition("/")[2] for each in document.profileConformance]
    missing = []
    for each in objects.foreach_type(v3_0_1.ai_AIPackage):
        needed = {
            "suppliedBy": each.suppliedBy, "releaseTime": each.releaseTime,
            "downloadLocation": each.software_downloadLocation,
            "packageVersion": each.software_packageVersion,
            "primaryPurpose": each.software_primaryPurpose,
        }  # fmt: skip
        missing += [f"{name} of {each.name}" for name, value in needed.items() if value is None]
        for kind in ("hasConcludedLicense", "hasDeclaredLicense"):
            of_it = [
                x for x in objects.foreach_type(v3_0_1.Relationship)
                if x.from_ is each and x.relationshipType.endswith(kind)
            ]  # fmt: skip
            missing += [] if len(of_it) == 1 and len(of_it[0].to) == 1 else [f"{kind} {each.name}"]
    return claims, missing


def said(**more):
    return {"child": Release(**{**RELEASE, **more})}


def test_with_what_its_owner_says_the_child_meets_the_ai_profile(made):
    objects = checked(spdx(read_bundle(made), said()))
    assert conformance(objects) == (["core", "software", "ai"], [])
    (package,) = objects.foreach_type(v3_0_1.ai_AIPackage)
    assert (package.name, package.suppliedBy.name) == ("child", "Example Lab")
    assert package.releaseTime.isoformat() == "2026-01-31T00:00:00+00:00"
    others = {x.name for x in objects.foreach_type(v3_0_1.software_Package)} - {"child"}
    assert others == {"base", "parent", "sibling"}
    (document,) = objects.foreach_type(v3_0_1.SpdxDocument)
    assert "what whoever exported this said of them" in document.comment


def test_what_is_said_of_others_makes_them_ai_packages_too(made):
    releases = {**said(), "base": Release(**{**RELEASE, "supplied_by": "Other"})}
    releases["parent"] = Release(supplied_by="Example Lab")
    objects = checked(spdx(read_bundle(made), releases))
    assert conformance(objects) == (["core", "software", "ai"], [])
    assert {x.name for x in objects.foreach_type(v3_0_1.ai_AIPackage)} == {"child", "base"}
    names = {x.name for x in objects.foreach_type(v3_0_1.Agent)}
    assert {"Example Lab", "Other"} <= names
    assert len([x for x in objects.foreach_type(v3_0_1.Agent) if x.name == "Example Lab"]) == 1


@pytest.mark.parametrize("field", RELEASE)
def test_a_profile_that_is_not_met_is_not_claimed_and_the_document_says_why(made, field):
    objects = checked(spdx(read_bundle(made), said(**{field: None})))
    claims, missing = conformance(objects)
    assert claims == ["core", "software"]
    assert missing
    (document,) = objects.foreach_type(v3_0_1.SpdxDocument)
    assert "which weights do not tell" in document.comment
    assert f"{OPTIONS[field]} is lacking" in document.comment


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
