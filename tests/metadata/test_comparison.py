"""Checkpoints side by side: what agrees with whom, what differs, what was added."""

import json
import shutil

import numpy as np
import parentage
import pytest
from common.said import CONFIG, family, said_so
from common.templates import RIO, SAYING, TURNS
from conftest import family_path, write_checkpoint
from parentage.metadata import MetadataError, compare_metadata
from parentage.metadata.comparison import STANDINGS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return family(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="module")
def found(folder):
    return compare_metadata(folder / "child", base=folder / "base", parents=[folder / "tuned"])


def row(found, aspect, key):
    (one,) = (each for each in found.rows if (each.aspect, each.key) == (aspect, key))
    return one


@pytest.mark.parametrize(
    ("aspect", "key", "standing", "kind"),
    [
        ("config", "hidden_size", "agrees with some", "architecture"),
        ("config", "rope_parameters.rope_theta", "agrees with all", "architecture"),
        ("config", "transformers_version", "differs", "cosmetic"),
        ("config", "extra", "added", ""),
        ("licences", "LICENSE is", "missing", ""),
        ("card", "license", "added", ""),
        ("tokenizer", "kind", "agrees with all", ""),
        ("chat template", "default sha256", "differs", ""),
        ("recipe in mergekit_config.yml", "merge_method", "added", ""),
    ],
)
def test_every_value_has_its_standing(found, aspect, key, standing, kind):
    one = row(found, aspect, key)
    assert (one.standing, one.kind) == (standing, kind)
    assert standing in STANDINGS


def test_who_agrees_is_named(found):
    assert row(found, "config", "hidden_size").agrees == ("base",)
    assert found.summary["config"] == {
        "base": {"agree": 3, "differ": 1, "only_child": 1, "only_other": 0},
        "tuned": {"agree": 2, "differ": 2, "only_child": 1, "only_other": 0},
    }
    assert found.summary["licences"]["base"]["only_other"] == 3


def test_the_prompt_is_the_childs_alone(found):
    (prompt,) = found.prompts
    assert (prompt["checkpoint"], prompt["text"]) == ("child", RIO)
    assert prompt["held_by"] == ["child"]
    assert prompt["lines"] == [1]
    assert prompt["when"] == "without a system message"
    assert prompt["differences"] == {
        name: ["@@ -0,0 +1 @@", f"+{RIO}"] for name in ("base", "tuned")
    }


@pytest.mark.parametrize("carrier", ["chat_template.jinja", "tokenizer_config.json"])
@pytest.mark.parametrize("kind", ["branch", "else", "where it is defined", "small marks, twice"])
def test_a_prompt_is_quoted_with_file_and_line_and_is_the_childs_alone(tmp_path, carrier, kind):
    source = "{# Who the model is\n is said below. #}\n" + SAYING[kind][0]
    places = {}
    for name in ("child", "base", "parent", "control"):
        text = source if name == "child" else TURNS
        places[name] = write_checkpoint(tmp_path / name, {"w": np.ones(4, np.float32)})
        content = text if carrier.endswith("jinja") else json.dumps({"chat_template": text})
        (places[name] / carrier).write_text(content, "utf-8")
    found = compare_metadata(
        places["child"],
        base=places["base"],
        parents=[places["parent"]],
        controls=[places["control"]],
    )
    (prompt,) = found.prompts
    assert (prompt["checkpoint"], prompt["held_by"]) == ("child", ["child"])
    assert (prompt["text"], prompt["template"], prompt["lines"]) == (RIO, carrier, [3])
    assert prompt["when"] == "without a system message"
    assert {x["checkpoint"] for x in found.as_dict()["templates"]} == set(places)


def test_prompts_of_two_are_compared_line_by_line(tmp_path):
    said = {"chat_template.jinja": "<|system|>You are Base, made by Lab.<|end|>" + TURNS}
    other = {"chat_template.jinja": "<|system|>You are Rio, made by Lab.<|end|>" + TURNS}
    said_so(tmp_path / "base", said)
    said_so(tmp_path / "child", other, seed=1)
    first, second = compare_metadata(tmp_path / "child", base=tmp_path / "base").prompts
    assert first["differences"]["base"] == [
        "@@ -1 +1 @@",
        "-You are Base, made by Lab.",
        "+You are Rio, made by Lab.",
    ]
    assert second["checkpoint"] == "base"


def test_the_document_says_that_it_is_circumstance(found):
    document = json.loads(found.to_json())
    assert document["schema"] == "parentage.metadata/1"
    assert document["level"] == "circumstantial"
    assert "no verdict" in document["note"]
    assert [each["role"] for each in document["inputs"]] == ["child", "base", "parent"]
    assert document["tokenizers"]["base"]["tokens_shared"] == 4
    assert {each["standing"] for each in document["rows"]} == set(STANDINGS)


def test_the_same_files_give_the_same_document_wherever_they_are(folder, found, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    moved = tmp_path / "moved"
    again = compare_metadata(moved / "child", base=moved / "base", parents=[moved / "tuned"])
    assert again.to_json() == found.to_json()
    assert str(folder) not in found.to_json()


def test_markup_and_halves_of_characters_are_text(tmp_path):
    name = "\ud800<script>\x1b[2J"
    said_so(tmp_path / "base", {"config.json": {name: 1}})
    said_so(tmp_path / "child", {"config.json": {name: name}}, seed=1)
    found = compare_metadata(tmp_path / "child", base=tmp_path / "base")
    found.to_json().encode("utf-8")


def test_a_long_value_is_told_by_its_digest(tmp_path):
    said_so(tmp_path / "base", {"config.json": {**CONFIG, "long": "x" * 10_000}})
    said_so(tmp_path / "child", {"config.json": {**CONFIG, "long": "x" * 9_999 + "y"}}, seed=1)
    found = compare_metadata(tmp_path / "child", base=tmp_path / "base")
    one = row(found, "config", "long")
    assert one.standing == "differs"
    assert "10,002 characters, sha256" in one.child
    assert one.child != one.others["base"]


def test_true_is_not_one(tmp_path):
    said_so(tmp_path / "base", {"config.json": {"a": 1}})
    said_so(tmp_path / "child", {"config.json": {"a": True}}, seed=1)
    found = compare_metadata(tmp_path / "child", base=tmp_path / "base")
    assert row(found, "config", "a").standing == "differs"


# Beside a verdict.


@pytest.fixture(scope="module")
def trace():
    return parentage.trace(
        family_path("child"), base=family_path("base"), parents=[family_path("parent")]
    )


def beside(evidence, **names):
    return compare_metadata(
        family_path("child"),
        base=family_path("base"),
        parents=[family_path("parent")],
        evidence=evidence,
        **names,
    )


def test_a_trace_writes_the_same_document(trace, tmp_path):
    trace.save(tmp_path)
    written = (tmp_path / "metadata.json").read_text("utf-8")
    assert written == beside(tmp_path).to_json()
    assert json.loads(written)["weights"]["kind"] == "merge"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "read evidence"),
        ("{", "no JSON"),
        ("", "no JSON"),
        ("[]", "its schema is None"),
        ('{"schema": "parentage.evidence/9"}', "parentage.evidence/9"),
        ('{"schema": "parentage.evidence/2"}', "not whole"),
    ],
)
def test_what_is_no_evidence_is_an_error(tmp_path, text, said):
    if text is not None:
        (tmp_path / "evidence.json").write_text(text)
    with pytest.raises(MetadataError, match=said):
        beside(tmp_path)


def test_evidence_of_another_child_is_refused(trace, folder):
    with pytest.raises(MetadataError, match="whose files are others"):
        compare_metadata(folder / "child", base=folder / "base", evidence=trace.evidence)


def test_other_names_in_evidence_are_those_of_here(trace):
    text = (
        json.dumps(trace.evidence)
        .replace('"parent"', '"the tuned"')
        .replace('"the tuned": "', '"parent": "')
    )
    found = beside(json.loads(text))
    assert [each["checkpoint"] for each in found.evidence["relations"]] == ["base", "parent"]
