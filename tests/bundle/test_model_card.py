"""What the card of a model should say of where it comes from."""

import pytest
import yaml
from common.bundles import edit_document, put, resealed
from msgspec.structs import replace
from parentage.bundle import read_bundle
from parentage.bundle.document import Recipe
from parentage.bundle.model_card import RELATIONS, card_fields, model_card
from parentage.support import EvidenceError


def fields(folder):
    """Return the fields, which the hub has these names and values for."""
    told = yaml.safe_load(model_card(read_bundle(folder)))
    assert told.keys() <= {"base_model", "base_model_relation"}
    assert told.get("base_model_relation", RELATIONS[0]) in RELATIONS
    assert isinstance(told["base_model"], str | list)
    return told


def edited(folder, **changes):
    def change(told):
        for path, value in changes.items():
            put(told, path.replace("__", "."), value)

    edit_document(folder, change)
    resealed(folder)
    return folder


def test_a_merge_names_what_it_is_of(made):
    assert fields(made) == {"base_model": ["parent", "base"], "base_model_relation": "merge"}
    assert model_card(read_bundle(made)).startswith("# merge (exact), by rule replayed\n")


def test_a_fine_tune_names_its_origin(bundle):
    edited(bundle, verdict__kind="fine-tune", verdict__numbers={"parent": "base"}, recipe=None)
    assert fields(bundle) == {"base_model": "base", "base_model_relation": "finetune"}


@pytest.mark.parametrize(
    ("kind", "rule", "relation"),
    [
        ("re-encoded", "quantised", "quantized"),
        ("re-encoded", "re_encoded", None),
        ("identical", "identical", None),
    ],
)
def test_a_copy_names_what_it_is_of(bundle, kind, rule, relation):
    numbers = {"parent": "parent"}
    edited(bundle, verdict__kind=kind, verdict__rule=rule, verdict__numbers=numbers)
    told = fields(bundle)
    assert told["base_model"] == "parent"
    assert told.get("base_model_relation") == relation


def test_parts_of_several_are_a_merge(bundle):
    numbers = {"slices_base": 3, "slices_parent": 4, "slices_sibling": 0}
    edited(bundle, verdict__kind="assembled", verdict__numbers=numbers)
    assert fields(bundle) == {"base_model": ["base", "parent"], "base_model_relation": "merge"}


def test_a_merge_without_a_recipe_names_what_has_weight(bundle):
    numbers = {"weight_parent": 0.6, "weight_sibling": 0.001}
    edited(bundle, verdict__numbers=numbers, recipe=None)
    assert fields(bundle)["base_model"] == "parent"


@pytest.mark.parametrize("kind", ["related", "unrelated", "undetermined"])
def test_what_decides_on_no_descent_has_no_fields(bundle, kind):
    edited(bundle, verdict__kind=kind)
    with pytest.raises(EvidenceError, match="no field of a card follows"):
        model_card(read_bundle(bundle))


def test_an_adapter_that_was_merged_is_a_fine_tune_of_its_base(made):
    document = read_bundle(made).document
    adapted = Recipe(
        **{
            **{name: getattr(document.recipe, name) for name in document.recipe.__struct_fields__},
            "adapters": {"parent": {"base": "base", "scale": 1.0, "rounded": "never"}},
        }
    )
    verdict = replace(document.verdict, kind="fine-tune")
    told = card_fields(replace(document, recipe=adapted, verdict=verdict))
    assert told == {"base_model": "base", "base_model_relation": "finetune"}
