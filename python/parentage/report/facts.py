"""What a report says in words: sentences and short tables, each licensed by the evidence."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parentage.hypothesise import NO_SEARCH
from parentage.recipe import show
from parentage.report.shares import share_of
from parentage.support import listed, printable
from parentage.verdict import NOTHING_AFTER, Roles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from parentage.report.document import Document, RecipeEntry

HEADLINES = {
    "identical": "The same as another checkpoint, bit for bit",
    "re-encoded": "The numbers of another checkpoint, stored otherwise",
    "merge": "A merge of other checkpoints",
    "merge-then-changed": "A merge that was changed",
    "fine-tune": "A fine-tune",
    "assembled": "Assembled or cut from other checkpoints",
    "related": "Kin, but by what way is not decided",
    "unrelated": "No relation was found to what it was compared with",
    "undetermined": "The evidence does not decide",
}
"""What a verdict is called, above its text."""

LEVELS = {
    "exact": "exact: bytes were reproduced or compared, and counted",
    "statistical": "statistical: an estimate with its error",
    "circumstantial": "circumstantial: of what surrounds the weights, not of the weights",
}
"""What levels of evidence mean."""

RECIPES = ("merge", "merge-then-changed")
"""Verdicts that say what the child was made of."""

RULES_OF_RECIPES = ("replayed", "changed", "changed_in_part", "rounding_left", "either_way")
"""Rules that rest on what a recipe reproduces; under others it is shown as no more than that."""

HEADLINES_OF_RULES = {
    ("fine-tune", "fine_tune"): "A fine-tune, in a direction that no candidate explains",
    ("fine-tune", "noised"): "Another checkpoint, with noise on top",
    ("fine-tune", "shared_slices"): "Much of another checkpoint, and more of its own: either way "
    "round, or both of one that was not offered",
    ("assembled", "chosen"): "Element by element other checkpoints': either way round",
}
"""What a verdict is called by kind and rule, where the kind alone would be read as more or less."""

RELATIONS = {
    "ancestor": "came before the child",
    "descendant": "was made from the child",
    "sibling": "shares an ancestor with the child, and neither is the other's",
    "stranger": "no relative was found",
    "undecided": "related or not, who came first is not decided",
}
"""What relations mean."""

TESTS = {
    "both_ways": "a blend gives one from the other, and not the other way round",
    "lost": "values of one that the other lost",
    "noise": "noise that is independent of all others, seen from one alone",
    "meeting": "the lines to relatives meet in it",
    "cosine": "the cosine of their weights",
}
"""What decided a relation."""

CARD = {
    "merge": "merge",
    "merge-then-changed": "merge",
    "fine-tune": "finetune",
    "re-encoded": "quantized",
}
"""What the card's ``base_model_relation`` would be by the weights; none for other verdicts."""


WHY_NOTHING = "Every number that it stores is what the merge gives, so no training changed any."
"""What is meant by that nothing was trained after a merge."""

FOLDER = "evidence/"
"""What the folder of evidence is called in commands."""

NAMED = 60
"""Characters of a headline's names, at most."""


@dataclass(frozen=True)
class Bar:
    """A share with what it is of, as a bar."""

    label: str
    share: float
    kind: str
    """``parent``, ``decoy``, ``control`` or ``base``: its colour."""

    @property
    def told(self) -> str:
        """The share as text."""
        return share_of(self.share)


@dataclass(frozen=True)
class Part:
    """A checkpoint's share of the child."""

    name: str
    weight: float
    kind: str
    start: float
    """Where its piece of the bar begins, as a share."""


def is_recipe_shown(document: Document) -> bool:
    """Return whether the verdict rests on a recipe."""
    verdict = document.verdict
    is_said = verdict.kind in RECIPES or verdict.rule in RULES_OF_RECIPES
    return document.recipe is not None and is_said


def recipe_line(recipe: RecipeEntry) -> str:
    """Return the recipe in a line."""
    taken = " + ".join(
        " ".join(
            [
                *([] if each.weight is None else [setting(each.weight)]),
                printable(each.name),
                *([] if each.density is None else [f"(density {each.density:.4g})"]),
            ]
        )
        for each in recipe.parents
    )
    base = "" if recipe.base is None else f" on {printable(recipe.base)}"
    settings = "".join(
        f", {printable(name)} {setting(value)}" for name, value in recipe.parameters.items()
    )
    return (
        f"{printable(recipe.method)} of {taken}{base}{settings}, in {printable(recipe.arithmetic)}"
    )


def no_recipe(document: Document) -> str:
    """Return why there is no recipe."""
    if document.spectrum is not None and document.spectrum.missing == NO_SEARCH:
        return "No recipe was looked for."
    return "No recipe was found that was worth carrying out."


def setting(value: Any) -> str:
    """Return a weight or parameter in few characters, whatever it is."""
    try:
        told = show(value)
    except (TypeError, ValueError, AttributeError, KeyError):
        told = str(value)
    told = printable(told)
    return told if len(told) <= 300 else f"{told[:300]}…"


def parts_of(document: Document) -> list[Part]:
    """Return the shares of a recipe whose weights are plain, not negative, and sum to one."""
    recipe = document.recipe
    if recipe is None or document.verdict.kind not in RECIPES:
        return []
    weights = [each.effective_weight for each in recipe.parents]
    known = [each for each in weights if each is not None and each >= 0.0]
    if len(known) < len(weights) or not known or abs(sum(known) - 1.0) > 1e-6:
        return []
    parts, start = [], 0.0
    base = document.inputs.base.name
    for each, weight in zip(recipe.parents, known, strict=True):
        kind = "base" if each.name == base else "parent"
        parts.append(Part(printable(each.name), weight, kind, start))
        start += weight
    return parts


def headline(document: Document) -> str:
    """Return the verdict in a line: with the shares or names of a merge, where they are short."""
    kind, rule = document.verdict.kind, document.verdict.rule
    if (kind, rule) in HEADLINES_OF_RULES:
        return HEADLINES_OF_RULES[kind, rule]
    told = HEADLINES.get(kind, printable(kind))
    parts = [each for each in parts_of(document) if each.weight > 0.0]
    if kind == "merge" and len(parts) > 1:
        shares = " + ".join(f"{each.weight:.4g} {each.name}" for each in parts)
        if len(shares) <= NAMED:
            return f"A merge: {shares}"
    if kind == "merge" and document.recipe is not None:
        names = listed(printable(each.name) for each in document.recipe.parents)
        if len(names) <= NAMED:
            return f"A merge of {names}"
    return told


def negative_of(document: Document) -> str | None:
    """Return what is ruled out, where all of the child is a merge and the verdict says so."""
    recipe, verdict, child = document.recipe, document.verdict, document.inputs.child
    if recipe is None or verdict.kind != "merge" or verdict.level != "exact":
        return None
    if recipe.mismatches or recipe.explained or recipe.elements != child.elements:
        return None
    said = printable(NOTHING_AFTER.format(child.name))
    return f"{said} {WHY_NOTHING}" if said in verdict.text else None


def bars_of(document: Document) -> tuple[str, list[Bar]]:
    """Return what a comparison is of, and its bars: with the parents, and without."""
    recipe = document.recipe
    if recipe is not None and is_recipe_shown(document):
        bars = [Bar("with this recipe and these parents", recipe.exact_share, "parent")]
        if isinstance(recipe.decoy_share, float | int):
            bars.append(
                Bar("with decoys in the parents' place", float(recipe.decoy_share), "decoy")
            )
        return "of the child's numbers that come out, bit for bit", bars
    model = document.model
    bars = [
        Bar(f"{printable(each.name)} ({role})", model.bit_equal[each.name] / model.n, role)
        for role, each in document.others
        if each.name in model.bit_equal and model.n
    ]
    return "of the child's numbers whose bits are the same in", bars


def number_sentence(document: Document) -> str:
    """Return one number against decoys, or controls, in a sentence."""
    recipe = document.recipe
    if recipe is not None and is_recipe_shown(document):
        given = recipe.elements - recipe.mismatches - recipe.explained
        text = (
            f"The recipe gives {given:,} of {recipe.elements:,} numbers exactly as they are stored"
        )
        if isinstance(recipe.decoy_share, float | int):
            text += (
                f"; with decoys in place of its parents, the most it gives of a sample is "
                f"{share_of(float(recipe.decoy_share))}"
            )
        return f"{text}."
    cosines = document.model.cosine
    roles = {each.name: role for role, each in document.others}
    told = [
        f"{cosine:.3f} for {printable(name)} ({roles.get(name, 'offered')})"
        for name, cosine in cosines.items()
        if cosine is not None
    ]
    if not told:
        return "No parent or control gave a number to compare."
    return (
        "The child's change from the base and that of the others have a cosine of "
        f"{listed(told)}; 1 is the same direction, 0 nothing in common."
    )


def limits_of(document: Document) -> list[str]:
    """Return what the evidence does not show, the most important first."""
    out = []
    sample = document.parameters.sample
    if sample is not None:
        read = sample.get("elements")
        of = f"{read:,} of " if isinstance(read, int) else "a part of "
        out.append(
            f"A sample was read, {of}{document.inputs.child.elements:,} elements: what was not "
            "read may differ."
        )
        unseen = sample.get("unseen")
        if isinstance(unseen, float):
            out.append(
                f"If nothing was seen to differ, up to {share_of(unseen)} of the child may lie in "
                "places that do, at 95% confidence."
            )
    offered = [printable(each.name) for _, each in document.others]
    out.append(
        f"Only {listed(offered)} {'were' if len(offered) > 1 else 'was'} compared with the child. "
        "Checkpoints that were not offered are neither excluded nor implied."
    )
    controls = {each.name for each in document.inputs.controls}
    if document.assumed is not None:
        out.append(
            "What the child was compared with was not all given, and some of it was assumed: "
            f"{' '.join(document.assumed.sentences)} Beside other checkpoints, the verdict may be "
            "another."
        )
    undecided = [
        printable(each.checkpoint)
        for each in document.relations
        if each.relation == "undecided" and each.checkpoint not in controls
    ]
    if undecided:
        out.append(
            f"Who came first was not decided for {listed(undecided)}: a likeness has no arrow, and "
            "no arrow is to be read into it."
        )
    out.append(
        "Weights do not say who did it, whether it was permitted, or what was intended. A parent "
        "could have been made from the child to look like its origin; where that was tested, the "
        "table of relations says so."
    )
    if not document.inputs.controls:
        out.append(
            "No control was offered: nothing here shows what a relative that is no parent looks "
            "like."
        )
    left = document.coverage.unaligned
    if left:
        out.append(
            f"{len(left):,} {'tensor' if len(left) == 1 else 'tensors'} took no part; the list "
            "under “What was compared” gives the reasons."
        )
    if document.coverage.share < 1.0 and sample is None:
        out.append(f"{share_of(document.coverage.share)} of the child's elements were compared.")
    if not any(each.sha256 for each in document.inputs.child.files):
        out.append(
            "No digests were taken: nothing ties this evidence to published files. "
            "parentage trace --digest sha256 takes them."
        )
    if document.verdict.level != "exact":
        out.append(
            f"The level is {printable(document.verdict.level)}: it can be wrong. The measured "
            "error rates below are of small models of known making, and no blind test."
        )
    return out


def command_of(document: Document) -> str:
    """Return the command that makes this evidence again, for those who have the files."""
    words = ["parentage", "trace", _path(document.inputs.child.name)]
    called = document.inputs.called or Roles.of(document.inputs)
    words += ["--base", _path(called.base)]
    for name in called.parents:
        words += ["--parent", _path(name)]
    for name in called.controls:
        words += ["--control", _path(name)]
    sample = document.parameters.sample
    if sample is not None:
        asked = sample.get("asked")
        if isinstance(asked, int | str):
            words += ["--sample", shlex.quote(printable(str(asked)))]
        if sample.get("sure") is not None:
            words.append("--until-sure")
        if isinstance(seed := sample.get("seed"), int):
            words += ["--seed", str(seed)]
    elif document.parameters.search_seed is not None:
        words += ["--seed", str(document.parameters.search_seed)]
    if any(each.sha256 for each in document.inputs.child.files):
        words += ["--digest", "sha256"]
    if document.spectrum is not None and document.spectrum.missing == NO_SEARCH:
        words.append("--no-recipes")
    return " ".join([*words, "-o", FOLDER])


def commands_of_ci(document: Document) -> list[str]:
    """Return the commands that say the verdict to a CI system, of stored evidence."""
    kind = shlex.quote(printable(document.verdict.kind))
    return [
        f"parentage export {FOLDER} --format {form} --fail-on {kind} -o parentage.{suffix}"
        for form, suffix in (("sarif", "sarif"), ("junit", "xml"))
    ] + [f"parentage verify {FOLDER} --json > verification.json"]


def repeats_of(document: Document) -> str:
    """Return what that command gives, in sentences."""
    told = "Put your own paths in the place of these, as NAME=PATH where folders have other names. "
    if document.parameters.sample is not None:
        return told + (
            "With the same files, this reads the same places and gives the same numbers; a verdict "
            "with a seed that is given states no confidence."
        )
    but = "" if document.assumed is None else ", but for what says that checkpoints were assumed"
    return (
        told + f"With the same files and version, this gives the same evidence, byte for byte{but}."
    )


def _path(name: str) -> str:
    """Return a name as a path in a shell: no option, and one word."""
    told = printable(name)
    return shlex.quote(f"./{told}" if not told.startswith(("/", ".")) else told)


def card_fields(document: Document) -> list[tuple[str, str]]:
    """Return the model card's fields as the weights have them; none where they say nothing."""
    relation = CARD.get(document.verdict.kind)
    if relation is None:
        return []
    base = document.inputs.base.name
    if document.verdict.kind in RECIPES and document.recipe is not None:
        parents = [each.name for each in document.recipe.parents]
        if document.recipe.base is not None and document.recipe.base not in parents:
            parents.append(document.recipe.base)
    elif document.verdict.kind == "fine-tune":
        before = [each.checkpoint for each in document.relations if each.relation == "ancestor"]
        parents = [base] if base in before else before
        if not parents:
            return [("base_model_relation", relation)]
    else:
        equal = document.model.bit_equal
        parents = [max(equal, key=lambda name: equal[name])] if equal else []
    names = [printable(name) for name in parents]
    return [("base_model", listed(names)), ("base_model_relation", relation)]


def reasons_of(document: Document, most: int = 12) -> list[tuple[str, int, Sequence[str]]]:
    """Return why tensors took no part: the reason, how many, and some of them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in document.coverage.unaligned:
        groups.setdefault((each.checkpoint, each.reason), []).append(each.tensor)
    return [
        (
            f"{printable(checkpoint)}: {printable(reason)}",
            len(names),
            [printable(n) for n in names[:most]],
        )
        for (checkpoint, reason), names in groups.items()
    ]
