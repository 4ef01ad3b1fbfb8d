"""What nobody gave is proposed, and what was assumed is said, with where that is from."""

import json
import shutil

import msgspec
import numpy as np
import parentage
import pytest
from common.hub import Repository
from common.networks import family_on_a_hub, quick
from conftest import encode_safetensors, family_path
from parentage.library import Library
from parentage.relatives import propose
from parentage.support import PlanError, ReadError


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A library of whole checkpoints that are at hand: all of the family but the child."""
    found = Library(tmp_path_factory.mktemp("library"))
    found.add([family_path(name) for name in ("base", "parent", "sibling")], size=1 << 18)
    return found


@pytest.fixture(scope="module")
def sketches(tmp_path_factory):
    """A library of their sketches, of which nobody knows where they are from."""
    folder = tmp_path_factory.mktemp("sketches")
    found = Library(folder / "library")
    found.add(
        [
            parentage.sketch(family_path(x), folder / f"{x}.sketch.safetensors", size="256KiB")
            for x in ("base", "parent", "sibling")
        ]
    )
    return found


@pytest.fixture
def child(tmp_path):
    shutil.copytree(family_path("child"), tmp_path / "models" / "child")
    return tmp_path / "models" / "child"


def claim(child, text):
    (child / "README.md").write_text(f"---\n{text}\n---\n")


def roles(found):
    return {each.name: each.role for each in found.assumed}


def test_the_search_proposes_what_was_merged_and_whole_checkpoints_are_taken(kept, child):
    found = propose(child, library=kept)
    names = roles(found)
    assert set(names) >= {"base", "parent"}
    assert sorted(names.values())[0] == "base"
    assert found.base.name in ("base", "parent", "sibling")
    assert not any(each.found.is_sketch for each in found.assumed)
    text = " ".join(found.told.sentences)
    assert text.startswith("Neither a base nor parents were given. ")
    assert "the search of a library of 3 sketches proposes them" in text
    assert str(kept.folder) not in text
    assert str(kept.folder) in " ".join(found.notes)
    assert str(family_path("base")) in " ".join(found.notes)


def test_where_only_sketches_are_known_they_are_taken_and_said_to_be_such(sketches, child):
    found = propose(child, library=sketches)
    assert all(each.found.is_sketch for each in found.assumed)
    assert "(a sketch)" in " ".join(found.told.sentences)
    assert msgspec.to_builtins(found.told)["library"] == {"sketches": 3, "sha256": sketches.digest}
    with pytest.raises(PlanError, match="whole files are asked for"):
        propose(child, library=sketches, is_whole=True)


def test_a_claim_proposes_what_is_beside_the_child(child, tmp_path):
    shutil.copytree(family_path("base"), child.parent / "base")
    shutil.copytree(family_path("parent"), child.parent / "tuned")
    claim(child, "base_model: [org/base, org/tuned]")
    found = propose(child, library=tmp_path / "none")
    assert roles(found) == {"base": "base", "tuned": "parent"}
    text = " ".join(found.told.sentences)
    assert "the child's own files claim it (README.md, base_model: org/base), which is" in text
    assert msgspec.to_builtins(found.told)["library"] is None


def test_search_and_claim_are_one_where_they_are_of_one_checkpoint(sketches, child):
    shutil.copytree(family_path("parent"), child.parent / "parent")
    claim(child, "base_model: org/parent")
    found = propose(child, library=sketches)
    (one,) = [each for each in found.assumed if each.name == "parent"]
    assert (one.search, one.found.is_sketch, len(one.claims)) == ("alike", False, 1)
    assert "proposes it; and the child's own files claim it" in " ".join(found.told.sentences)
    told = next(x for x in msgspec.to_builtins(found.told)["checkpoints"] if x["name"] == "parent")
    assert told["claims"] == [{"source": "README.md, base_model", "claim": "org/parent"}]
    json.dumps(msgspec.to_builtins(found.told))


def test_a_false_claim_stands_beside_what_the_weights_propose(kept, child):
    shutil.copytree(family_path("grandchild"), child.parent / "other")
    claim(child, "base_model: org/other")
    found = propose(child, library=kept)
    assert roles(found)["other"] in ("base", "parent")
    assert {"base", "parent", "other"} <= set(roles(found))


def test_with_parents_given_a_base_is_proposed_and_no_more(kept, child):
    found = propose(child, [family_path("parent")], library=kept)
    assert [each.name for each in found.parents] == ["parent"]
    assert [each.role for each in found.assumed] == ["base"]
    assert found.base.name != "parent"
    assert found.told.sentences[0] == "No base was given."


def test_a_sketch_of_the_child_itself_is_passed_over_and_said(sketches, tmp_path):
    library = Library(tmp_path / "library")
    library.add([sketches.path(name) for name in sketches.names])
    found = propose(family_path("sibling"), library=library)
    assert "sibling" not in roles(found)
    assert "sibling is passed over" in " ".join(found.left)


@pytest.mark.parametrize(
    "claimed", ["../../../etc", "https://evil.example/x", "org/child", "x" * 999]
)
def test_a_claim_that_leads_nowhere_is_said_and_no_more(kept, child, claimed):
    claim(child, f"base_model: {claimed}")
    found = propose(child, library=kept)
    assert "base" in roles(found)
    assert any(each.startswith("README.md, base_model of the child says") for each in found.left)


def test_with_nothing_to_propose_it_is_said_what_to_do(child, tmp_path):
    claim(child, "base_model: org/gone")
    with pytest.raises(PlanError) as caught:
        propose(child, library=tmp_path / "none")
    text = str(caught.value)
    for expected in ("is empty or not there", "org/gone", "--base", "library add", "compare"):
        assert expected in text
    with pytest.raises(PlanError, match="its files claim nothing"):
        propose(family_path("child"), library=tmp_path / "none")


def test_a_library_without_relatives_is_said_to_have_none(tmp_path, weights):
    draw = np.random.default_rng(3)
    strange = {name: draw.normal(size=x.shape).astype("f4") for name, x in weights["base"].items()}
    (tmp_path / "strange.safetensors").write_bytes(encode_safetensors(strange))
    library = Library(tmp_path / "library")
    library.add([tmp_path / "strange.safetensors"], size=1 << 15)
    with pytest.raises(PlanError, match=r"the one sketch in the library .* is no relative"):
        propose(family_path("child"), library=library)


def test_a_library_that_can_not_be_read_is_an_error(tmp_path):
    (tmp_path / "index.parquet").write_text("x")
    with pytest.raises(ReadError, match="no index of sketches"):
        propose(family_path("child"), library=tmp_path)


def test_a_remote_child_is_proposed_what_its_card_on_the_hub_claims(monkeypatch, tmp_path, child):
    claim(child, "base_model: org/base")
    with family_on_a_hub(monkeypatch, tmp_path) as double:
        double.repositories["org/claiming"] = Repository.of(child)
        found = propose("hf://org/claiming", library=tmp_path / "none", network=quick())
        assert roles(found) == {"org/base": "base"}
        assert found.base.is_remote


def test_an_adapter_has_no_sketch_and_is_proposed_what_it_claims(tmp_path):
    shutil.copytree(family_path("base"), tmp_path / "base")
    folder = tmp_path / "adapter"
    folder.mkdir()
    names = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    tensors = {
        names.format("A"): np.zeros((4, 96), np.float32),
        names.format("B"): np.zeros((96, 4), np.float32),
    }
    (folder / "adapter_model.safetensors").write_bytes(encode_safetensors(tensors))
    said = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "org/base"}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    library = Library(tmp_path / "library")
    library.add([family_path("parent")], size=1 << 15)
    found = propose(folder, library=library)
    assert roles(found) == {"base": "base"}
    assert any("No library was searched" in each for each in found.left)
