"""A library is searched: relatives, the base, the blend, a verdict, and what it does not know."""

import json

import numpy as np
import parentage
import pytest
from conftest import BF16, family_path, write_checkpoint
from parentage.library import Library
from parentage.relatives import summary

TUNED = ("parent", "sibling")


@pytest.fixture(scope="module")
def library(tmp_path_factory, weights):
    """The shipped family but for the child, a copy under another name, and a stranger."""
    folder = tmp_path_factory.mktemp("library")
    draw = np.random.default_rng(5)
    strange = {
        name: (draw.normal(size=x.shape) * 0.05).astype(BF16) for name, x in weights["base"].items()
    }
    write_checkpoint(folder / "stranger", strange)
    write_checkpoint(folder / "twin", weights["parent"])
    paths = [family_path(name) for name in ("base", *TUNED)]
    paths += [folder / "stranger", folder / "twin"]
    files = [
        parentage.sketch(path, folder / f"{path.name}.sketch.safetensors", size="256KiB")
        for path in paths
    ]
    found = Library(folder / "library")
    found.add(files)
    return found


def test_the_parents_of_a_merge_are_found_and_the_recipe_is_told_from_sketches(library):
    found = parentage.search(family_path("child"), library, decide=True)
    assert found.searched == 5
    assert "stranger" not in found.relatives["name"].to_list()
    assert {name for name, _ in found.blend} <= {"base", "parent", "twin"}
    assert found.floors == pytest.approx(1.0, abs=0.1)
    assert (found.trace.verdict.kind, found.is_sure) == ("merge", True)
    assert set(found.parents) <= {"base", "parent", "twin"}
    twins = dict(zip(found.relatives["name"], found.relatives["same_as"], strict=True))
    assert "parent" in (twins["twin"], "parent" if twins["parent"] == "twin" else None)
    assert "trace" in found.command
    assert "base" in found.command
    assert "no more" not in summary(found)


def test_a_copy_is_told_and_is_not_said_to_come_after(library):
    found = parentage.search(family_path("sibling"), library, decide=True)
    assert found.relatives["name"][0] == "sibling"
    assert found.relatives["relation"][0] == "equal where held"
    assert found.trace.verdict.kind == "identical"
    assert found.tree["order"].null_count() == len(found.tree)
    assert "-->" not in found.mermaid()


def test_what_is_passed_over_is_not_found(library):
    found = parentage.search(family_path("sibling"), library, without=["sibling"])
    assert "sibling" not in found.relatives["name"].to_list()
    assert found.trace is None
    assert not found.is_sure
    assert not found.parents


def test_a_stranger_has_no_relatives(library, tmp_path):
    draw = np.random.default_rng(8)
    path = write_checkpoint(
        tmp_path / "x", {"model.layers.0.mlp.up_proj.weight": draw.normal(size=(64, 32))}
    )
    found = parentage.search(path, library, decide=True)
    assert not len(found.relatives)
    assert found.trace is None
    assert found.command is None
    assert "none of 5 sketches" in summary(found)


def test_an_empty_library_is_no_error(tmp_path):
    found = parentage.search(family_path("child"), tmp_path / "nothing")
    assert found.searched == 0


def test_what_is_gone_or_broken_is_passed_over_and_said(library, tmp_path):
    copy = Library(tmp_path / "copy")
    copy.add([library.path(name) for name in ("base", "parent", "sibling")])
    copy.path("base").unlink()
    path = copy.path("sibling")
    path.write_bytes(path.read_bytes()[:1000])
    found = parentage.search(family_path("child"), copy)
    assert {each.split()[0] for each in found.remarks} == {"base", "sibling"}
    assert "parent" in found.relatives["name"].to_list()


def test_the_document_is_json_and_says_what_is_sure(library):
    found = parentage.search(family_path("grandchild"), library)
    document = json.loads(found.to_json())
    assert document["schema"] == "parentage.search/1"
    assert document["sure"] is False
    assert document["verdict"] is None
    assert document["relatives"][0]["rank"] == 1


def test_an_order_of_neurons_is_proposed_and_not_said(library, tmp_path, weights):
    draw = np.random.default_rng(6)
    turned = {}
    for name, values in weights["base"].items():
        rows, columns = (draw.permutation(size) for size in (values.shape[0], values.shape[-1]))
        turned[name] = values[rows] if values.ndim == 1 else values[rows][:, columns]
    found = parentage.search(write_checkpoint(tmp_path / "turned", turned), library)
    assert not len(found.relatives)
    assert "base" in found.proposed
    assert "decides nothing" in summary(found)
