"""Statements are in-toto's, of the digests of the child, and say what the evidence says."""

import json

import pytest
from common.bundles import edit_document, files_of, put, resealed, traced
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from parentage.bundle import EVIDENCE, STATEMENTS, read_bundle, sha256
from parentage.bundle.statements import (
    MOST_INLINE,
    evidence_statement,
    line,
    property_name,
    provenance_statement,
    resource,
    result_statement,
    statement_lines,
    subjects,
    verifier_id,
)
from parentage.support import EvidenceError
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey


@pytest.fixture(scope="module")
def found(made):
    return read_bundle(made)


def checked(statement):
    """Return a statement that in-toto's own library reads, in whole, and finds valid."""
    message = json_format.Parse(json.dumps(statement), statement_pb2.Statement())
    Statement.copy_from_pb(message).validate()
    assert json_format.MessageToDict(message)["predicateType"] == statement["predicateType"]
    return statement


def test_the_subjects_are_the_root_digest_and_the_files(found):
    child = found.document.inputs.child
    first, second = subjects(child)
    assert first == resource("child", child.root)
    assert second == resource("child/model.safetensors", child.files[0].sha256)


def test_the_evidence_is_a_statement_on_the_child(found, made):
    statement = checked(evidence_statement(found.document, found.files))
    predicate = statement["predicate"]
    assert predicate["verdict"]["text"] == found.document.verdict.text
    named = {each["name"]: each["digest"]["sha256"] for each in predicate["evidence"]}
    assert named == {name: sha256(files_of(made)[name]) for name in found.files}
    assert [each["role"] for each in predicate["inputs"]] == ["child", "base", "parent", "control"]
    lines = (made / STATEMENTS).read_text("utf-8").splitlines(keepends=True)
    assert lines[0] == line(statement)
    assert len(lines) == 2


def test_provenance_names_recipe_and_parents_by_digest(found):
    statement = checked(provenance_statement(found.document, found.told["recipe"]))
    predicate = statement["predicate"]
    read = json_format.ParseDict(predicate, provenance_pb2.Provenance())
    named = {
        each.name: each.digest["sha256"] for each in read.build_definition.resolved_dependencies
    }
    inputs = found.document.inputs
    assert named["base/model.safetensors"] == inputs.base.files[0].sha256
    assert named["parent"] == inputs.parents[0].root
    assert not any(name.startswith("sibling") for name in named)
    assert read.run_details.builder.id == verifier_id(found.document)
    recipe = predicate["buildDefinition"]["externalParameters"]["recipe"]
    assert recipe == found.told["recipe"]
    # The weights were reproduced; what lies beside them was not.
    assert len(statement["subject"]) == 1


def test_a_recipe_that_is_long_is_named_by_its_digest(found):
    long = {**found.told["recipe"], "fitted": {"x" * MOST_INLINE: {}}}
    told = provenance_statement(found.document, long)["predicate"]["buildDefinition"]
    assert told["externalParameters"]["recipe"].keys() == {"sha256"}


def test_a_result_is_the_verdict_as_properties(found):
    statement = checked(result_statement(found.document, found.created))
    predicate = statement["predicate"]
    assert predicate.keys() == {"verifier", "timeCreated", "properties"}
    assert predicate["verifier"] == {"id": verifier_id(found.document), "policies": []}
    assert predicate["properties"][0] == "PARENTAGE_VERDICT_MERGE"
    assert property_name("re-encoded") == "RE_ENCODED"


def test_without_digests_there_is_no_statement(tmp_path):
    traced(tmp_path, digest=None)
    found = read_bundle(tmp_path)
    assert statement_lines(found.document, found.told["recipe"], found.files) is None
    with pytest.raises(EvidenceError, match="trace with --digest sha256"):
        evidence_statement(found.document, found.files)
    with pytest.raises(EvidenceError, match="trace with --digest sha256"):
        provenance_statement(found.document, found.told["recipe"])


def test_what_no_recipe_gives_in_all_bits_has_no_provenance(bundle):
    edit_document(bundle, lambda told: put(told, "recipe", None))
    resealed(bundle)
    found = read_bundle(bundle)
    assert len((bundle / STATEMENTS).read_text("utf-8").splitlines()) == 1
    with pytest.raises(EvidenceError, match="provenance is of a child"):
        provenance_statement(found.document, {})


@pytest.mark.parametrize(
    ("path", "value"),
    [("verdict.level", "statistical"), ("recipe.mismatches", 1), ("recipe.elements", 294_487)],
)
def test_provenance_is_of_all_bits(bundle, path, value):
    edit_document(bundle, lambda told: put(told, path, value))
    resealed(bundle)
    assert len((bundle / STATEMENTS).read_text("utf-8").splitlines()) == 1
    assert EVIDENCE in read_bundle(bundle).files


def test_a_statement_is_signed_and_verified_by_what_others_use(found):
    """As docs/bundle.md says it: a DSSE envelope, by a key of one's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    text = json.dumps(evidence_statement(found.document, found.files)).encode()
    envelope = Envelope(text, "application/vnd.in-toto+json", {})
    envelope.sign(CryptoSigner(key))
    again = Envelope.from_dict(json.loads(json.dumps(envelope.to_dict())))
    public = SSlibKey.from_crypto(key.public_key())
    assert again.payload == text
    assert list(again.verify([public], 1)) == [public.keyid]
    again.payload = text.replace(b"merge", b"nerge", 1)
    with pytest.raises(VerificationError):
        again.verify([public], 1)
