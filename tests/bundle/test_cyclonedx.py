"""The bill of materials is what CycloneDX's own schema allows, and says what the evidence says."""

import json
from shutil import copytree

import pytest
from common.bundles import PLACES, traced
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from parentage import trace
from parentage.bundle import read_bundle
from parentage.bundle.cyclonedx import cyclonedx, reservations


def checked(text):
    """Return a document that the published schema of version 1.7 allows."""
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    return json.loads(text)


@pytest.fixture(scope="module")
def told(made):
    return checked(cyclonedx(read_bundle(made)))


def test_the_validator_refuses_what_the_schema_does_not_allow(told):
    wrong = json.dumps({**told, "specVersion": "1.7", "more": 1})
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(wrong) is not None


def test_the_pedigree_has_each_relative_in_its_place(told):
    child = told["metadata"]["component"]
    assert (child["type"], child["name"]) == ("machine-learning-model", "child")
    pedigree = child["pedigree"]
    assert [each["name"] for each in pedigree["ancestors"]] == ["base", "parent"]
    assert [each["name"] for each in pedigree["variants"]] == ["sibling"]
    assert "reproduces all 294,488 elements" in pedigree["notes"]
    (file,) = child["components"]
    assert file["hashes"][0]["alg"] == "SHA-256"


def test_the_recipe_is_a_workflow_of_the_checkpoints(told):
    ((workflow,),) = [each["workflows"] for each in told["formulation"]]
    refs = {each["bom-ref"]: each["name"] for each in told["components"]}
    assert [refs[each["resource"]["ref"]] for each in workflow["inputs"]] == ["parent", "base"]
    assert workflow["outputs"][0]["resource"]["ref"] == told["metadata"]["component"]["bom-ref"]


def test_the_verdict_is_a_claim_with_what_speaks_for_it_and_what_limits_it(told):
    (claim,) = told["declarations"]["claims"]
    assert claim["predicate"] == "merge (exact)"
    evidence = {each["bom-ref"]: each["description"] for each in told["declarations"]["evidence"]}
    against = [evidence[ref] for ref in claim["counterEvidence"]]
    assert any("decoys" in each for each in against)
    assert any("sibling" in each for each in against)
    assert evidence.keys() == {*claim["evidence"], *claim["counterEvidence"]}


@pytest.mark.parametrize("options", [{"digest": None}, {"digest": None, "sample": "50%"}])
def test_evidence_of_any_kind_is_a_valid_document(tmp_path, options):
    traced(tmp_path, **options)
    found = read_bundle(tmp_path)
    told = checked(cyclonedx(found))
    assert "components" not in told["metadata"]["component"]
    is_sample = "sample" in options
    assert any("were not read" in each for each in reservations(found.document)) == is_sample


def test_names_with_markup_are_valid_and_copies_need_no_recipe(tmp_path):
    copytree(PLACES["base"], tmp_path / '<b>"x"&')
    trace(tmp_path / '<b>"x"&', base=PLACES["base"], output=tmp_path / "e", recipes=False)
    told = checked(cyclonedx(read_bundle(tmp_path / "e")))
    assert told["metadata"]["component"]["name"] == '<b>"x"&'
    assert "formulation" not in told
