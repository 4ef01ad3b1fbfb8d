"""What one checkpoint's files say, and what is said of files that say nothing that is read."""

import json

import gguf
import numpy as np
import pytest
from common.said import CONFIG, TOKENIZER, family, said_so
from common.templates import HOSTILE, RIO, SAYING, TURNS
from parentage.checkpoint import Checkpoint
from parentage.metadata import rendering
from parentage.metadata.said import CONFIGS, MOST_LEAVES, said_by


def said(folder, files):
    return said_by(Checkpoint.open(said_so(folder, files)))


def test_everything_beside_a_checkpoint_is_read(tmp_path):
    found = said_by(Checkpoint.open(family(tmp_path) / "child"))
    assert found.documents["config"]["rope_parameters.rope_theta"] == 10000.0
    assert found.documents["config"]["extra"] == [1, 2]
    assert found.tokenizer.size == 4
    assert [each.text for each in found.templates[0].prompts] == [RIO]
    assert found.card.base_models == ("org/base",)
    assert {(each["model"], each["weight"]) for each in found.claimed} == {
        ("org/base", 0.4),
        ("org/tuned", 0.6),
    }
    names = {(where, name.name, name.kind) for where, name in found.names}
    assert ("chat template in chat_template.jinja", "Rio", "is") in names
    assert ("README.md", "nex-agi/Nex-N2", "link") in names
    assert ("README.md", "IplanRIO", "made by") in names
    assert ("README.md, front matter", "org/base", "field") in names
    assert {each["name"] for each in found.files} >= {"README.md", "config.json"}
    assert all(len(each["sha256"]) == 64 for each in found.files)
    assert found.problems == []


def test_a_checkpoint_without_files_says_nothing(tmp_path):
    found = said(tmp_path / "m", {})
    assert (found.documents, found.templates, found.card, found.problems) == ({}, [], None, [])


@pytest.mark.parametrize("raw", [b"{", b"[1]", b"\xff", b"[" * 100_000, b"", b"null", b"1e999"])
@pytest.mark.parametrize("name", [*CONFIGS.values(), "tokenizer.json", "README.md", "LICENSE",
                                  "mergekit_config.yml", "chat_template.json",
                                  "model.safetensors.index.json"])  # fmt: skip
def test_no_file_makes_an_exception(tmp_path, name, raw):
    folder = said_so(tmp_path / "m", {name: raw} if "index" not in name else {})
    checkpoint = Checkpoint.open(folder)
    (folder / name).write_bytes(raw)
    found = said_by(checkpoint)
    assert not any("can not be told" in each for each in found.problems), found.problems


def test_the_same_key_twice_is_a_problem(tmp_path):
    found = said(tmp_path / "m", {"config.json": '{"a": 1, "a": 2}'})
    assert found.documents["config"] == {"a": 2}
    assert found.problems == ['config.json: the key "a" is there twice']


def test_a_document_of_many_values_is_cut(tmp_path):
    found = said(tmp_path / "m", {"config.json": {str(i): i for i in range(MOST_LEAVES + 5)}})
    assert len(found.documents["config"]) == MOST_LEAVES
    assert "only 5,000 of its values" in found.problems[0]


@pytest.mark.parametrize("kind", ["attributes", "syntax", "loops"])
def test_a_hostile_template_is_a_problem_of_it_alone(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(rendering, "MOST_SECONDS", 1)
    found = said(tmp_path / "m", {"chat_template.jinja": HOSTILE[kind], "config.json": CONFIG})
    (prompted,) = found.templates
    told = prompted.problem or " ".join(prompted.refused.values())
    assert told
    assert found.documents["config"]["hidden_size"] == 8


def test_who_somebody_is_under_a_condition_is_told(tmp_path):
    source = "{% if messages | length > 99 %}You are Rio, really.{% endif %}" + TURNS
    (prompted,) = said(tmp_path / "m", {"chat_template.jinja": source}).templates
    assert prompted.prompts == ()
    assert [each["text"] for each in prompted.hidden] == ["You are Rio, really."]


def test_of_two_files_with_one_template_both_are_told(tmp_path):
    source = SAYING["branch"][0]
    files = {"chat_template.jinja": source, "tokenizer_config.json": {"chat_template": source}}
    found = said(tmp_path / "m", files)
    assert [each.template.origin for each in found.templates] == list(files)
    assert all(each.prompts for each in found.templates)
    assert "chat_template" not in found.documents["tokenizer config"]


def test_sentencepiece_models_are_told_by_their_digest(tmp_path):
    found = said(tmp_path / "m", {"tokenizer.model": b"\x00" * 5000})
    assert len(found.documents["tokenizer files"]["tokenizer.model sha256"]) == 64
    assert found.problems == []


def test_an_adapter_names_its_base(tmp_path):
    files = {"adapter_config.json": {"base_model_name_or_path": "org/base", "r": 8}}
    found = said(tmp_path / "m", files)
    assert found.claimed == [{"source": "adapter_config.json", "model": "org/base", "weight": None}]
    assert found.documents["adapter config"]["r"] == 8


def test_recipes_that_call_for_objects_are_not_followed(tmp_path):
    text = "models: !!python/object/apply:os.system ['touch /tmp/nothing']"
    found = said(tmp_path / "m", {"mergekit_config.yml": text, "tokenizer.json": TOKENIZER})
    assert found.claimed == []
    assert "mergekit_config.yml: it is no YAML that is read" in found.problems[0]
    json.dumps(found.files)


def test_headers_of_gguf_name_models_and_hold_templates(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_string("general.organization", "Lab")
    writer.add_string("general.base_model.0.repo_url", "https://huggingface.co/org/base")
    writer.add_string("tokenizer.chat_template", SAYING["branch"][0] + "{# " + "x" * 5000 + " #}")
    writer.add_tensor("w", np.ones((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = said_by(Checkpoint.open(tmp_path / "model.gguf"))
    (prompted,) = found.templates
    assert prompted.template.origin == "model.gguf, tokenizer.chat_template"
    assert [each.text for each in prompted.prompts] == [RIO]
    assert found.claimed == [
        {"source": "header, general.base_model.0.repo_url", "model": "org/base", "weight": None}
    ]
    assert ("header", "Lab") in {(where, name.name) for where, name in found.names}
