"""Sentences of a report say no more than the evidence does."""

import copy
import shlex

import pytest
from common.reports import made_document
from parentage.cli.terminal import trace
from parentage.hypothesise import spectra_of
from parentage.report.document import read_document
from parentage.report.facts import (
    HEADLINES,
    RECIPES,
    RULES_OF_RECIPES,
    bars_of,
    card_fields,
    command_of,
    headline,
    limits_of,
    negative_of,
    no_recipe,
    number_sentence,
    parts_of,
    reasons_of,
    recipe_line,
    repeats_of,
    setting,
)
from parentage.verdict import KINDS, NOTHING_AFTER


def document_of(**changes):
    """Return made-up evidence with changes: ``verdict__kind="related"``."""
    document = copy.deepcopy(made_document())
    for name, value in changes.items():
        *path, last = name.split("__")
        at = document
        for key in path:
            at = at[key]
        at[last] = value
    return read_document(document)


def test_every_verdict_has_a_headline():
    assert set(HEADLINES) == set(KINDS)


def test_the_headline_of_a_merge_has_its_shares():
    assert headline(document_of()) == "A merge: 0.6 parent + 0.4 base"
    names = [{"name": "p" * 80, "weight": 1.0, "effective_weight": 1.0}]
    assert headline(document_of(recipe__parents=names)) == HEADLINES["merge"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "merge" not in kind])
def test_other_verdicts_show_no_recipe(kind):
    document = document_of(verdict__kind=kind, verdict__rule="other")
    assert parts_of(document) == []
    assert "recipe" not in number_sentence(document)
    assert headline(document) == HEADLINES[kind]


def test_shares_are_shown_where_they_are_shares():
    assert [(each.name, each.weight, each.start) for each in parts_of(document_of())] == [
        ("parent", 0.6, 0.0), ("base", 0.4, 0.6),
    ]  # fmt: skip
    beyond = [
        {"name": "parent", "weight": 1.5, "effective_weight": 1.5},
        {"name": "base", "weight": -0.5, "effective_weight": -0.5},
    ]
    assert parts_of(document_of(recipe__parents=beyond)) == []
    by_layer = [{"name": "parent", "weight": {"gradient": [0.0, 1.0]}}]
    assert parts_of(document_of(recipe__parents=by_layer)) == []


def test_that_nothing_came_after_is_said_of_exact_merges_of_all_alone():
    said = "linear of 0.6 parent + 0.4 base. " + NOTHING_AFTER.format("child")
    exact = {"verdict__level": "exact", "recipe__mismatches": 0, "verdict__text": said}
    assert negative_of(document_of(**exact)).startswith(NOTHING_AFTER.format("child"))
    assert negative_of(document_of(**exact | {"verdict__text": "linear"})) is None
    assert negative_of(document_of()) is None
    assert negative_of(document_of(**exact, recipe__elements=99_999)) is None
    assert negative_of(document_of(**exact, recipe__explained=1)) is None
    assert negative_of(document_of(**exact, verdict__kind="merge-then-changed")) is None
    assert negative_of(document_of(**exact, inputs__child__name="other")) is None
    assert negative_of(document_of(verdict__level="exact", recipe=None)) is None


def test_numbers_stand_beside_those_of_decoys():
    told = number_sentence(document_of())
    assert told.startswith("The recipe gives 99,988 of 100,000 numbers exactly as they are stored")
    assert told.endswith("3.00%.")
    assert "decoy" not in number_sentence(document_of(recipe__decoy_share=None))
    told = number_sentence(document_of(recipe=None))
    assert "0.990 for parent (parent) and 0.100 for control (control)" in told


def test_bars_are_shares():
    _, bars = bars_of(document_of())
    assert [each.kind for each in bars] == ["parent", "decoy"]
    title, bars = bars_of(document_of(recipe=None))
    assert "same" in title
    assert [each.kind for each in bars] == ["base", "parent", "control"]
    assert all(0.0 <= each.share <= 1.0 for each in bars)


def test_limits_say_what_was_not_done():
    said = " ".join(limits_of(document_of()))
    assert "Only base, parent and control were compared" in said
    assert "No digests" not in said
    assert "No control" not in said
    assert "The level is statistical: it can be wrong." in said
    files = [{"name": "a", "bytes": 1, "sha256": None}]
    document = document_of(
        inputs__controls=[], inputs__child__files=files,
        coverage__unaligned=[{"checkpoint": "child", "tensor": "a", "reason": "b"}],
        parameters__sample={
            "elements": 500, "unseen": 0.02, "seed": 3, "asked": "0.5%", "sure": None,
        },
        relations=[{"checkpoint": "base", "relation": "undecided", "test": None, "numbers": {}}],
    )  # fmt: skip
    said = " ".join(limits_of(document))
    for expected in (
        "A sample was read, 500 of 100,000 elements", "up to 2.00% of the child", "No control",
        "No digests were taken", "1 tensor took no part", "Who came first was not decided for base",
    ):  # fmt: skip
        assert expected in said


def test_the_command_is_one_that_a_shell_reads_as_meant():
    document = document_of(inputs__child__name="a b; rm -rf '$HOME'", inputs__base__name="--help")
    words = shlex.split(command_of(document))
    assert words[:3] == ["parentage", "trace", "./a b; rm -rf '$HOME'"]
    assert words[words.index("--base") + 1] == "./--help"
    assert words[words.index("--seed") + 1] == "7"
    assert words[-2:] == ["-o", "evidence/"]
    sample = {"asked": "0.5%", "seed": 3, "sure": True}
    told = command_of(document_of(parameters__sample=sample))
    assert "--sample 0.5% --until-sure --seed 3" in told


def test_the_card_has_what_the_weights_say():
    assert card_fields(document_of()) == [
        ("base_model", "parent and base"), ("base_model_relation", "merge"),
    ]  # fmt: skip
    assert card_fields(document_of(verdict__kind="related")) == []
    tuned = document_of(verdict__kind="fine-tune", recipe=None)
    assert card_fields(tuned)[0] == ("base_model", "base")
    # Who came first was not decided: no base is named.
    unknown = document_of(verdict__kind="fine-tune", recipe=None, relations=[])
    assert card_fields(unknown) == [("base_model_relation", "finetune")]


def test_reasons_are_put_together():
    left = [
        {"checkpoint": "child", "tensor": str(number), "reason": "it is extra"}
        for number in range(30)
    ]
    ((reason, count, names),) = reasons_of(document_of(coverage__unaligned=left))
    assert (reason, count, len(names)) == ("child: it is extra", 30, 12)


@pytest.mark.parametrize(
    "value",
    [0.6, "text", None, True, {"gradient": [0.1, 0.9]}, {"a": 1, "b": 2}, [1], {}, {"slices": 3}],
)
def test_any_setting_can_be_shown(value):
    assert isinstance(setting(value), str)


def test_a_recipe_is_told_in_a_line():
    assert recipe_line(document_of().recipe) == "linear of 0.6 parent + 0.4 base, in float32"


def test_what_the_command_gives_is_said():
    assert "byte for byte" in repeats_of(document_of())
    sampled = document_of(parameters__sample={"asked": "1%", "seed": 3, "sure": None})
    assert "states no confidence" in repeats_of(sampled)
    assert "--no-recipes" not in command_of(document_of())
    none = document_of(spectrum__missing=spectra_of(None).missing)
    assert "--no-recipes" in command_of(none)


def test_a_verdict_that_rests_on_a_recipe_shows_what_it_gives():
    """As that of a low-rank change, which is a fine-tune by what its recipe reproduces."""
    document = document_of(verdict__kind="fine-tune", verdict__rule="replayed")
    assert number_sentence(document).startswith("The recipe gives")
    assert headline(document) == "A fine-tune"
    assert parts_of(document) == []
    own = document_of(verdict__kind="fine-tune", verdict__rule="fine_tune")
    assert headline(own) == "A fine-tune, in a direction that no candidate explains"
    assert not number_sentence(own).startswith("The recipe gives")


@pytest.mark.parametrize(
    ("kind", "rule", "told"),
    [
        ("fine-tune", "noised", "Another checkpoint, with noise on top"),
        ("fine-tune", "shared_slices", "either way round, or both of one that was not offered"),
        ("assembled", "chosen", "either way round"),
    ],
)
def test_a_headline_says_no_more_than_the_rule(kind, rule, told):
    """No training leaves noise, and equal bits have no order."""
    found = headline(document_of(verdict__kind=kind, verdict__rule=rule))
    assert found.endswith(told)
    assert "A fine-tune" not in found


def test_why_there_is_no_recipe_is_said():
    assert no_recipe(document_of(recipe=None)).startswith("No recipe was found")
    missing = spectra_of(None).missing
    assert (
        no_recipe(document_of(recipe=None, spectrum__missing=missing))
        == "No recipe was looked for."
    )


def test_rules_of_recipes_are_those_of_the_terminal():
    assert RULES_OF_RECIPES == trace.RULES_OF_RECIPES
    assert RECIPES == trace.KINDS_OF_RECIPES


def test_what_was_assumed_is_a_limit_and_is_not_made_again():
    assumed = {
        "library": None,
        "parents_given": True,
        "checkpoints": [
            {"name": "base", "role": "base", "search": None, "sketch": False,
             "claims": [{"source": "README.md, base_model", "claim": "org/base"}]}
        ],
    }  # fmt: skip
    document = document_of(assumed=assumed)
    (limit,) = [each for each in limits_of(document) if "was assumed" in each]
    assert "No base was given." in limit and "which is no evidence" in limit
    assert not any("assumed" in each for each in limits_of(document_of()))
    if document.parameters.sample is None:
        assert "but for what says that checkpoints were assumed" in repeats_of(document)
    assert "assumed" not in repeats_of(document_of())
