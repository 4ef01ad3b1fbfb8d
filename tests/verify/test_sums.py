"""What is made again of sums, and what is not."""

import json

import polars as pl
import pytest
from common.bundles import edit_document, put, resealed
from parentage.bundle import EVIDENCE, SLICES, SUMS, read_document
from parentage.verify.folder import Folder, check_files
from parentage.verify.sums import DERIVED, DIGESTED, check_sums


def test_every_column_of_slices_is_made_again_or_named_as_not(made):
    keys = {"slice", "component", "layer", "expert", "shape", "dtype", "checkpoint", "role"}
    shares = {"exact_share", "explained_share", "mismatched"}
    columns = set(pl.read_parquet(made / "slices.parquet").columns)
    assert columns == keys | shares | set(DERIVED) | set(DIGESTED)


def found_of(bundle):
    folder = Folder(bundle)
    list(check_files(folder))
    document = read_document(folder.files[EVIDENCE], EVIDENCE)
    return list(check_sums(folder, document, read_json(folder), []))


def read_json(folder):
    return json.loads(folder.files[EVIDENCE])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("recipe.unexplained", 3),
        ("recipe.zero_signs", 3),
        ("recipe.mismatch_ulps", [1, 0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_elements_that_a_recipe_does_not_give_are_those_of_the_sums(bundle, path, value):
    edit_document(bundle, lambda told: put(told, path, value))
    resealed(bundle)
    wrong = [each for each in found_of(bundle) if each.status == "failed"]
    assert [each.check for each in wrong] == ["recipe"]
    assert wrong[0].text.startswith(path)


@pytest.mark.parametrize("name", [SUMS, SLICES])
def test_without_a_table_nothing_is_made_again(bundle, name):
    (bundle / name).unlink()
    assert [each.status for each in found_of(bundle)] == ["unchecked"]
