"""Checks without checkpoints: what is held against what."""

import json

import parentage
import pytest
from common.bundles import copied, edit_document, edit_json, put, resealed
from conftest import family_path
from parentage.bundle import FACTS, RECIPE, STATEMENTS
from parentage.support import EvidenceError
from parentage.verify.consistency import check_consistency
from parentage.verify.folder import Folder, check_files


def checked(folder):
    held = Folder(folder)
    return [*check_files(held), *check_consistency(held)]


def failed(folder):
    return [(each.check, each.file) for each in checked(folder) if each.status == "failed"]


def test_nothing_is_checked_of_a_document_that_is_not_what_it_was(bundle):
    (bundle / "evidence.json").write_bytes(b"{}")
    assert list(check_consistency(Folder(bundle))) == []
    assert {each.check for each in checked(bundle)} == {"digests"}


@pytest.mark.parametrize("name", [FACTS, "sums.parquet", "slices.parquet"])
def test_what_is_not_at_hand_is_told_as_unchecked(bundle, name):
    (bundle / name).unlink()
    resealed(bundle)
    found = checked(bundle)
    assert name in {each.file for each in found if each.status == "unchecked"}


def test_a_recipe_or_a_statement_of_other_evidence_is_found(bundle):
    (bundle / RECIPE).write_text("merge_method: slerp\n", "utf-8")
    (bundle / STATEMENTS).write_text("{}\n", "utf-8")
    resealed(bundle, statements=False)
    assert set(failed(bundle)) == {("recipe", RECIPE), ("statements", STATEMENTS)}
    (bundle / RECIPE).unlink()
    (bundle / STATEMENTS).unlink()
    resealed(bundle, statements=False)
    assert set(failed(bundle)) == {("recipe", RECIPE), ("statements", STATEMENTS)}


def test_a_recipe_where_there_was_none_is_found(bundle):
    edit_document(bundle, lambda told: put(told, "recipe", None))
    resealed(bundle)
    assert {("coverage", "evidence.json"), ("recipe", RECIPE)} <= set(failed(bundle))


def test_a_document_that_is_laid_out_otherwise_is_found(bundle):
    path = bundle / "evidence.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8"))), "utf-8")
    resealed(bundle)
    assert ("document", "evidence.json") in failed(bundle)


def test_two_checkpoints_of_one_name_are_found(bundle):
    edit_document(bundle, lambda told: put(told, "inputs.base.name", "parent"))
    resealed(bundle)
    assert ("document", "evidence.json") in failed(bundle)


@pytest.mark.parametrize(
    "facts", [[], {}, {"schema": "parentage.facts/9", "names": [], "facts": {}, "asked": {}}]
)
def test_facts_of_another_kind_are_a_finding_and_no_crash(bundle, facts):
    (bundle / FACTS).write_text(json.dumps(facts), "utf-8")
    resealed(bundle)
    assert ("verdict", FACTS) in failed(bundle)


@pytest.mark.parametrize("path", ["facts.equal", "facts.weights", "facts.wholes.by_name"])
def test_facts_that_lack_what_rules_look_up_are_a_finding_and_no_crash(bundle, path):
    edit_json(bundle / FACTS, lambda told: put(told, path, {}))
    resealed(bundle)
    assert failed(bundle)


def test_a_newer_document_is_an_error(bundle):
    edit_document(bundle, lambda told: put(told, "schema", "parentage.evidence/3"))
    resealed(bundle, statements=False)
    with pytest.raises(EvidenceError, match="a newer one made it"):
        checked(bundle)


@pytest.fixture(scope="module")
def assuming(tmp_path_factory):
    """A bundle of a trace that nobody gave a base to."""
    folder = tmp_path_factory.mktemp("assuming")
    library = parentage.Library(folder / "library")
    library.add([family_path(name) for name in ("base", "parent")], size=1 << 18)
    parentage.trace(family_path("child"), library=library, output=folder / "evidence")
    return folder / "evidence"


def test_what_was_assumed_is_held_against_what_the_verdict_says(assuming, tmp_path):
    held = [each for each in checked(assuming) if each.check == "assumed"]
    assert [each.status for each in held] == ["ok"]
    assert failed(assuming) == []

    def other(told):
        told["assumed"]["checkpoints"][0]["claims"] = [{"source": "x", "claim": "y"}]

    def strange(told):
        told["assumed"]["checkpoints"][0]["name"] = "z"

    for number, change in enumerate((other, strange, lambda told: told.pop("assumed"))):
        (tmp_path / str(number)).mkdir()
        bundle = copied(assuming, tmp_path / str(number))
        edit_document(bundle, change)
        resealed(bundle)
        assert ("assumed", "evidence.json") in failed(bundle)
