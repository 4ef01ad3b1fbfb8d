"""Every format is made of a bundle that is whole, and of no other."""

import json

import pytest
from common.bundles import PLACES, edit_document, put, resealed, traced
from parentage import Recipe
from parentage.bundle import EVIDENCE, FORMATS, export
from parentage.support import EvidenceError


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_made_the_same_twice_and_tells_the_verdict(made, form):
    text, kind = export(made, form)
    assert kind == "merge"
    assert text.endswith("\n")
    assert export(made, form) == (text, kind)


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_made_of_a_bundle_that_was_altered(bundle, form):
    (bundle / EVIDENCE).write_bytes((bundle / EVIDENCE).read_bytes().replace(b"merge", b"forge", 1))
    with pytest.raises(EvidenceError, match="is altered"):
        export(bundle, form)


def test_a_format_that_is_none_is_an_error_that_lists_them(made):
    with pytest.raises(ValueError, match="formats are cyclonedx, in-toto"):
        export(made, "pdf")


def test_the_configuration_of_mergekit_is_the_recipe(made):
    recipe = Recipe.from_json(export(made, "mergekit")[0])
    assert recipe.replay({n: PLACES[n] for n in ("base", "parent")}, PLACES["child"]).agrees


def test_what_a_format_needs_and_is_not_there_is_an_error_that_says_so(bundle, tmp_path):
    traced(tmp_path / "one", digest=None)
    for form in ("in-toto", "slsa", "svr"):
        with pytest.raises(EvidenceError, match="digest"):
            export(tmp_path / "one", form)
    edit_document(bundle, lambda told: put(told, "recipe.mergekit", None))
    resealed(bundle)
    with pytest.raises(EvidenceError, match=r"no way to say this recipe \(linear\)"):
        export(bundle, "mergekit")
    edit_document(bundle, lambda told: put(told, "recipe", None))
    resealed(bundle)
    with pytest.raises(EvidenceError, match="has no recipe"):
        export(bundle, "mergekit")


def test_ci_is_told_what_is_a_failure(made):
    told = json.loads(export(made, "sarif", fail_on=("merge",))[0])
    assert told["runs"][0]["results"][0]["level"] == "error"


def test_what_is_said_of_releases_is_for_spdx_and_of_known_fields(made):
    with pytest.raises(ValueError, match="cyclonedx has no place for it"):
        export(made, "cyclonedx", releases={"version": ["1"]})
    with pytest.raises(ValueError, match="there is no 'colour'"):
        export(made, "spdx", releases={"colour": ["red"]})
    assert "1.0" in export(made, "spdx", releases={"version": ["1.0"]})[0]
