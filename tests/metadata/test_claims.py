"""Claims beside files and weights."""

import json

import parentage
import pytest
from common.said import family, said_so
from common.two_parents import merge
from parentage.metadata import compare_metadata
from parentage.metadata.claims import STANDINGS, is_called, sources_of


@pytest.mark.parametrize(
    ("claim", "name", "is_one"),
    [
        ("Qwen/Qwen3-0.6B", "Qwen3-0.6B", True),
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", True),
        ("Qwen/Qwen3-0.6B", "other/Qwen3-0.6B", False),
        ("qwen3_0.6b", "Qwen3-0.6B", True),
        ("./models/base/", "base", True),
        ("base", "base2", False),
        ("", "base", False),
        ("/", "base", False),
    ],
)
def test_names_are_compared_by_their_last_parts(claim, name, is_one):
    assert is_called(claim, name) == is_one


def card(**fields):
    return "---\n" + json.dumps(fields) + "\n---\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A merge of two, its evidence, and what a card may say of it."""
    folder = merge(tmp_path_factory.mktemp("merge"))
    trace = parentage.trace(folder / "child", base=folder / "two", parents=[folder / "one"])
    assert trace.verdict.kind == "merge"
    trace.save(folder / "evidence")
    return folder


def claims(folder, text, evidence=True):
    (folder / "child" / "README.md").write_text(text)
    found = compare_metadata(
        folder / "child",
        base=folder / "two",
        parents=[folder / "one"],
        evidence=folder / "evidence" if evidence else None,
    )
    assert all(each.standing in STANDINGS for each in found.claims)
    return {(each.field, each.claim): each for each in found.claims}


def test_a_true_card_agrees(folder):
    found = claims(folder, card(base_model=["x/one", "x/two"], base_model_relation="merge"))
    assert {key: each.standing for key, each in found.items()} == {
        ("base_model", "x/one"): "agrees",
        ("base_model", "x/two"): "agrees",
        ("base_model_relation", "merge"): "agrees",
    }


def test_a_false_card_is_contradicted(folder):
    text = card(base_model="x/two", base_model_relation="finetune") + "Trained from scratch.\n"
    found = claims(folder, text)
    assert found["base_model_relation", "finetune"].standing == "contradicts"
    assert "merge (exact), and names one, two" in found["base_model_relation", "finetune"].weights
    assert found["base_model", "one is not named"].standing in ("contradicts", "not decided")
    assert found["trained from scratch", "Trained from scratch"].standing in (
        "contradicts",
        "not decided",
    )


def test_what_was_not_offered_is_not_tested(folder):
    found = claims(folder, card(base_model="x/unknown"))
    assert found["base_model", "x/unknown"].standing == "not tested"
    assert "no checkpoint that was offered" in found["base_model", "x/unknown"].metadata


def test_without_evidence_nothing_is_tested_but_the_headers(folder):
    text = card(base_model="x/one", base_model_relation="merge") + "It has 900B parameters.\n"
    found = claims(folder, text, evidence=False)
    assert found["base_model", "x/one"].standing == "not tested"
    assert found["base_model_relation", "merge"].standing == "not tested"
    assert found["parameters", "900B param"].standing == "not decided"
    assert found["parameters", "900B param"].weights.endswith("which is another number")


def test_a_card_that_names_no_base_is_told(folder):
    found = claims(folder, "# Rio\n")
    assert found["base_model", "none"].standing == "not tested"
    assert "merge" in found["base_model", "none"].weights


def test_weights_of_a_recipe_stand_beside_those_found(folder):
    (folder / "child" / "mergekit_config.yml").write_text(
        "models: [{model: x/one, parameters: {weight: 0.5}}]"
    )
    found = claims(folder, "x")
    (folder / "child" / "mergekit_config.yml").unlink()
    assert found["recipe", "x/one, weight 0.5"].weights.endswith("its weight there is 0.6")


def test_licences_are_put_side_by_side_and_not_judged(tmp_path):
    folder = family(tmp_path)
    found = compare_metadata(folder / "child", base=folder / "base", parents=folder / "tuned")
    (claim,) = (each for each in found.claims if each.field == "license")
    assert (claim.claim, claim.metadata, claim.standing) == (
        "mit",
        "base: apache-2.0",
        "not tested",
    )


def test_fields_of_odd_types_are_no_exceptions(tmp_path):
    said_so(tmp_path / "base", {})
    odd = {"base_model": {"a": 1}, "base_model_relation": ["x"], "license": 3, "tags": None}
    said_so(tmp_path / "child", {"README.md": card(**odd)}, seed=1)
    found = compare_metadata(tmp_path / "child", base=tmp_path / "base")
    assert {each.field for each in found.claims} == {
        *("base_model", "base_model_relation", "license")
    }


@pytest.mark.parametrize("kind", ["related", "undetermined", "unrelated"])
def test_verdicts_that_name_no_origin_have_no_sources(kind):
    verdict = {"kind": kind, "numbers": {"parent": "base"}}
    assert sources_of({"verdict": verdict, "recipe": None}) == []


def test_a_parent_of_weight_zero_is_no_source():
    recipe = {"parents": [{"name": "a", "weight": 0}, {"name": "b", "weight": 1.0}]}
    verdict = {"kind": "merge", "numbers": {}}
    assert sources_of({"verdict": verdict, "recipe": recipe}) == ["b"]
