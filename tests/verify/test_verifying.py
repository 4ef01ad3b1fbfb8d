"""Bundles that were altered are found out: with digests left as they were, and with new ones."""

import json

import parentage
import polars as pl
import pytest
from common.bundles import (
    FILES,
    NAMES,
    PLACES,
    edit_document,
    edit_json,
    edit_metadata,
    edit_table,
    failures,
    put,
    resealed,
    traced,
)
from conftest import family_path
from parentage.bundle import CUSTODY, EVIDENCE, FACTS, MANIFEST, SLICES, SUMS
from parentage.report import write_report
from parentage.support import EvidenceError
from parentage.verify import UNCHECKED, verify

FIRST = pl.int_range(pl.len()) == 0


def test_a_bundle_as_it_was_written_is_consistent(made):
    found = verify(made)
    assert found.standing == "consistent"
    assert not [each for each in found.findings if each.status != "ok"]
    checks = ["digests", "document", "thresholds", "keys", "verdict", "coverage", "sums", "tables"]
    assert [*dict.fromkeys(each.check for each in found.findings)] == [
        *checks,
        *("facts", "recipe", "statements", "metadata", "custody", "page"),
    ]


@pytest.mark.parametrize("name", [*FILES, CUSTODY])
@pytest.mark.parametrize("place", [0.03, 0.5, 0.97])
def test_one_byte_that_changed_is_found_in_each_file(bundle, name, place):
    data = bytearray((bundle / name).read_bytes())
    at = int(place * len(data))
    data[at] ^= 1
    (bundle / name).write_bytes(data)
    found = verify(bundle)
    assert found.is_refuted
    # A digest in the manifest that is another one speaks of its file; the log knows which is which.
    assert {name, CUSTODY if name == MANIFEST else name} & {each.file for each in found.failed}


@pytest.mark.parametrize("name", [*FILES, CUSTODY])
def test_every_byte_of_a_file_counts_at_its_end_as_well(bundle, name):
    raw = (bundle / name).read_bytes()
    for data in (raw[:-1], raw + b" ", b""):
        (bundle / name).write_bytes(data)
        assert name in {each.file for each in verify(bundle).failed}


@pytest.mark.parametrize("name", [each for each in FILES if each not in (EVIDENCE, MANIFEST)])
def test_a_file_that_is_gone_is_found(bundle, name):
    (bundle / name).unlink()
    assert (("digests", name, "is missing")) in failures(verify(bundle))


def test_what_is_no_bundle_is_an_error_that_says_so(bundle, tmp_path):
    with pytest.raises(EvidenceError, match="does not exist; a bundle is a folder"):
        verify(tmp_path / "nowhere")
    with pytest.raises(EvidenceError, match="is no folder"):
        verify(bundle / EVIDENCE)
    (bundle / EVIDENCE).unlink()
    with pytest.raises(EvidenceError, match=r"holds no evidence\.json"):
        verify(bundle)


def test_a_manifest_that_is_gone_is_found(bundle):
    (bundle / MANIFEST).unlink()
    assert next(each[:2] for each in failures(verify(bundle))) == ("manifest", MANIFEST)


EDITED = {
    "verdict.kind": "fine-tune",
    "verdict.level": "statistical",
    "verdict.text": "All of it is original.",
    "verdict.numbers.weight_parent": 0.1,
    "verdict.numbers.decoy_share": 0.9,
    "model.weights.parent.ols": 0.5,
    "model.weights.parent.nnls": 0.5,
    "model.weights.parent.free": 0.5,
    "model.r2": 0.5,
    "model.cosine.sibling": 0.9,
    "model.controls.sibling.ols": 0.9,
    "model.bit_equal.base": 5,
    "model.residual_rms": 1.0,
    "model.exact_share": 0.5,
    "components.mlp.weights.parent.ols": 0.2,
    "components.mlp.n": 1,
    "coverage.elements_read": 1000,
    "coverage.share": 0.5,
    "coverage.origin": "parent",
    "coverage.slices": 22,
    "inputs.child.name": "other",
    "inputs.child.elements": 5,
    "parameters.thresholds.explained": 0.1,
    "recipe.mismatches": 7,
    "recipe.exact_share": 0.5,
    "recipe.mergekit": "merge_method: slerp\n",
    "recipe.arithmetic": "bfloat16",
    "recipe.equivalents": ["slerp (float32)"],
    "recipe.decoy_share": 0.5,
    "recipe.explained_share": 0.5,
    "inputs.base.elements": 5,
    "inputs.base.tensors": 5,
    "parameters.blocks": 5,
    "tool.name": "other",
    "tool.core": "9.9",
    "recipe.parents": [{"name": "parent", "weight": 0.7}, {"name": "base", "weight": 0.3}],
    "relations": [],
}
"""What somebody may write into a document."""


@pytest.mark.parametrize("path", EDITED)
def test_a_number_that_was_edited_is_found_though_digests_are_new(bundle, path):
    edit_document(bundle, lambda told: put(told, path, EDITED[path]))
    resealed(bundle)
    found = verify(bundle)
    assert found.is_refuted, path
    assert not [each for each in found.failed if each.check in ("digests", "manifest", "custody")]


@pytest.mark.parametrize(
    "path",
    [
        *("facts.elements", "facts.r2", "facts.stray", "facts.residual_floors"),
        *("facts.weights.parent", "facts.equal.base", "facts.distance_floors.base"),
        *("facts.replay.mismatched", "facts.replay.elements", "facts.wholes.compared"),
    ],
)
def test_a_fact_that_was_edited_is_found_though_digests_are_new(bundle, path):
    edit_json(bundle / FACTS, lambda told: put(told, path, 12345))
    resealed(bundle)
    assert verify(bundle).is_refuted


@pytest.mark.parametrize(
    "column",
    [
        *("n", "n_moved", "r2", "residual_rms", "rounding_rms", "z_naive", "ols", "nnls", "free"),
        *("alone", "checkpoint_cosine", "bit_equal", "condition", "exact_share", "mismatched"),
    ],
)
def test_a_number_in_the_table_of_slices_is_found_though_digests_are_new(bundle, column):
    value = pl.when(pl.col(column).is_not_null()).then(pl.col(column) + 1).otherwise(None)
    first = pl.col(column).is_not_null().cum_sum() == 1
    edit_table(bundle / SLICES, **{column: pl.when(first).then(value).otherwise(pl.col(column))})
    resealed(bundle)
    said = failures(verify(bundle))
    assert [each for each in said if each[:2] == ("sums", SLICES) and column in each[2]]


def test_a_sum_that_was_edited_is_found_though_digests_are_new(bundle):
    numbers = pl.col("gram").list.eval(pl.element() * 1.001)
    edit_table(bundle / SUMS, gram=pl.when(FIRST).then(numbers).otherwise(pl.col("gram")))
    resealed(bundle)
    assert {each.check for each in verify(bundle).failed} >= {"sums", "tables"}


def test_tables_that_are_none_or_have_other_columns_are_found(bundle):
    raw = (bundle / SUMS).read_bytes()
    for data in (b"", b"PAR1", raw[:200], raw[:-4] + b"XXXX"):
        (bundle / SUMS).write_bytes(data)
        resealed(bundle)
        assert ("sums", SUMS) in {each[:2] for each in failures(verify(bundle))}
    (bundle / SUMS).write_bytes(raw)
    pl.read_parquet(bundle / SUMS).drop("gram").write_parquet(bundle / SUMS)
    resealed(bundle)
    assert "columns" in failures(verify(bundle))[0][2]


def test_a_newer_schema_is_an_error_that_says_who_reads_it(bundle):
    edit_document(bundle, lambda told: put(told, "schema", "parentage.evidence/3"))
    resealed(bundle, statements=False)
    with pytest.raises(EvidenceError, match=r"evidence\.json: is of the schema .*a newer one made"):
        verify(bundle)


def test_evidence_of_another_version_is_checked_and_what_differs_is_not_called_consistent(bundle):
    edit_document(bundle, lambda told: put(told, "tool.version", "0.0.1"))
    write_report(bundle)
    resealed(bundle)
    assert verify(bundle).standing == "consistent"
    edit_document(bundle, lambda told: put(told, "verdict.text", "All of it is original."))
    said = {"kind": "merge", "level": "exact", "rule": "replayed", "text": "All of it is original."}
    edit_metadata(bundle, lambda told: put(told, "weights", said))
    write_report(bundle)
    resealed(bundle)
    found = verify(bundle)
    assert found.standing == "incomplete"
    (left,) = [each for each in found.findings if each.status == UNCHECKED]
    assert (left.check, "parentage 0.0.1" in left.text) == ("verdict", True)
    edit_document(bundle, lambda told: put(told, "model.r2", 0.1))
    resealed(bundle)
    assert verify(bundle).standing == "refuted"


def test_facts_that_are_not_there_leave_it_incomplete(bundle):
    (bundle / FACTS).unlink()
    resealed(bundle)
    assert verify(bundle).standing == "incomplete"


def test_entries_that_were_taken_out_of_the_log_are_found(bundle):
    traced(bundle)
    lines = (bundle / CUSTODY).read_text("utf-8").splitlines(keepends=True)
    assert len(lines) == 2
    (bundle / CUSTODY).write_text(lines[1], "utf-8")
    assert "taken out" in failures(verify(bundle))[0][2]


def test_a_file_that_is_no_part_of_the_bundle_is_told_and_refutes_nothing(bundle):
    (bundle / "notes.txt").write_text("mine", "utf-8")
    found = verify(bundle)
    assert not found.is_refuted
    assert [each.file for each in found.findings if each.check == "others"] == ["notes.txt"]


def test_evidence_without_digests_has_no_statements_and_is_consistent(tmp_path):
    traced(tmp_path, digest=None)
    found = verify(tmp_path)
    assert found.standing == "consistent"
    assert [each.check for each in found.findings if each.status == UNCHECKED] == ["statements"]


def test_the_checkpoints_give_it_again(made):
    found = verify(made, PLACES, seed=5, slices=6)
    assert found.standing == "reproduced"
    assert (found.slices["drawn"], found.slices["of"], found.slices["seed"]) == (6, 23, 5)
    assert found.slices["differing_less_than"] == pytest.approx(1 - 0.05 ** (1 / 6))
    whole = verify(made, PLACES, slices=None)
    assert whole.standing == "reproduced"
    assert whole.slices["read"] == 23
    assert whole.slices["elements"] == 294_488
    assert whole.slices["differing_less_than"] == 0.0
    assert "root digest" in " ".join(each.text for each in whole.findings)


def test_the_seed_of_a_system_is_another_each_time(made):
    seeds = {verify(made, PLACES, slices=1).slices["seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_numbers_that_were_made_up_consistently_are_found_with_the_checkpoints(tmp_path):
    # A trace of other files under the same names: all of it fits, and none of it is true.
    parentage.trace(
        family_path("grandchild"), base=family_path("base"), parents=[family_path("parent")],
        controls=[family_path("sibling")], output=tmp_path, digest="sha256",
        recipes=False,
    )  # fmt: skip
    (tmp_path / CUSTODY).unlink()
    assert not verify(tmp_path).is_refuted
    places = {**PLACES, "grandchild": PLACES["child"]}
    del places["child"]
    found = verify(tmp_path, places, seed=1, slices=3)
    assert ("slices", SUMS) in {each[:2] for each in failures(found)}
    hashed = verify(tmp_path, places, slices=1, digest=True)
    assert "SHA-256" in " ".join(each[2] for each in failures(hashed))


def test_a_checkpoint_that_is_lacking_is_an_error_that_names_it(made):
    some = {name: PLACES[name] for name in NAMES if name != "sibling"}
    with pytest.raises(EvidenceError, match="'sibling' is lacking; say where it is"):
        verify(made, some)
    with pytest.raises(EvidenceError, match="'other' is no checkpoint of this evidence"):
        verify(made, {**PLACES, "other": family_path("base")})


def test_slices_are_one_or_more(made):
    with pytest.raises(ValueError, match="slices must be 1 or more"):
        verify(made, PLACES, slices=0)


def test_what_was_altered_is_not_compared_with_checkpoints(bundle):
    (bundle / EVIDENCE).write_bytes((bundle / EVIDENCE).read_bytes() + b"\n")
    found = verify(bundle, PLACES, slices=1)
    assert found.is_refuted
    assert "are not compared" in found.findings[-1].text


def test_resealing_alone_is_seen_by_whoever_knows_the_digest_of_the_manifest(bundle, made):
    # A p value rests on blocks of sums, which are not stored, and this one met its rule by far.
    edit_json(bundle / FACTS, lambda told: put(told, "facts.log10_p.parent", -31.0))
    resealed(bundle)
    assert not verify(bundle).is_refuted
    assert verify(bundle).manifest != verify(made).manifest
    assert json.loads((bundle / MANIFEST).read_text("utf-8"))["schema"] == "parentage.manifest/1"
