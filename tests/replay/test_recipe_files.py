"""Recipes are files, evidence, or folders of it; nothing else is read without end."""

import os

import pytest
from common.two_parents import RECIPE
from parentage import Recipe, RecipeError
from parentage.replay import recipe_files, recipe_text


def test_a_folder_is_its_evidence(tmp_path):
    (tmp_path / "evidence.json").write_text(RECIPE.to_json())
    assert Recipe.open(tmp_path) == Recipe.of(RECIPE)
    assert Recipe.open(tmp_path / "evidence.json") == Recipe.of(RECIPE)


@pytest.mark.skipif(os.name != "posix", reason="devices are files on POSIX alone")
def test_what_has_no_end_is_refused(tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match="device"):
        recipe_text("/dev/zero")
    monkeypatch.setattr(recipe_files, "MOST_BYTES", 10)
    (tmp_path / "long").write_text(" " * 11)
    with pytest.raises(RecipeError, match="more than 10 bytes"):
        recipe_text(tmp_path / "long")


@pytest.mark.parametrize("name", ["none", "x" * 300, "x" * 5000, "nul\0"])
def test_what_can_not_be_opened_is_an_error(tmp_path, name):
    with pytest.raises(RecipeError, match="read"):
        recipe_text(tmp_path / name)


def test_a_folder_without_evidence_says_what_is_looked_for(tmp_path):
    with pytest.raises(RecipeError, match=r"evidence\.json in it"):
        recipe_text(tmp_path)
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="not JSON"):
        recipe_text(tmp_path / "latin")
