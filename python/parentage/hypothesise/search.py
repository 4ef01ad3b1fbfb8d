"""Finds the recipes that are worth replaying on everything, by what they reproduce of a sample."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.blends import BF16_LEAST_SHARE, COPY_DISTANCE
from parentage.hypothesise.decoys import decoy_share
from parentage.hypothesise.evaluate import count_matches
from parentage.hypothesise.recognise.registry import RECOGNISERS
from parentage.hypothesise.written_weights import NEGLIGIBLE
from parentage.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.recipe import Recipe
    from parentage.sample import MatchCounts
    from parentage.support import Floats

SUMS = ("passthrough", "linear", "task_arithmetic", "slerp")
"""Methods that are tried before all others; slerp is a sum where the two are near."""

OF_EACH = 4
"""Recipes of every method that are kept, however many others reproduce more."""

SHORT_LIST = 16
"""Recipes that are replayed on the whole sample, after a first look at a part of it."""

LEAST_SHARE = 0.02
"""Share of elements below which a recipe is not worth a second look."""

LEAST_GAIN = 0.3
"""Share of what decoys leave that a recipe has to explain to be replayed on everything: merges with
half a unit of noise reach 0.6, fine-tunes below 0.1."""

LEAST_WHOLE = 0.05
"""The same in slices that are reproduced whole: where others were changed, they alone tell."""

REFINED = 0.5
"""Least share that a recipe explains for its fitted numbers to be refined."""

LEAST_BEYOND = 0.2
"""Share of the elements that no checkpoint has which a recipe has to explain to be refined."""

TABLES = 0.1
"""Weights by slice have to leave less than this of what a recipe without them leaves."""

NEXT_TO_COPY = 0.9999
"""Least share that a recipe reproduces whose weights lie next to those of a copy."""

CLOSE = 1e-3
"""Shares of a sample so close to the best that the whole has to decide between recipes."""

ALIKE = 5e-4
"""Difference in share that fitting leaves between methods that are the same but for their scalars:
measured up to 3e-4."""

REFUTED = 36
"""Elements of a sample that a recipe does not reproduce, and another all of them, from which on it
is not replayed on everything: six standard deviations of their number."""

MOST_STREAMED = 3
"""Recipes replayed on everything in the same pass, at most."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A recipe and what it reproduces of the sample."""

    recipe: Recipe
    share: float
    """Share of the sampled elements that are reproduced or explained."""
    mismatched: int
    """Sampled elements that are neither."""
    explained: int
    """Sampled elements of which some results have the child's bits, and some have not."""
    elements: int
    """Sampled elements."""
    decoy_share: float
    """The largest share with one of the parents replaced by its own displacements in another order,
    or by another checkpoint that was offered; NaN where it was not measured."""
    whole_share: float = 0.0
    """Share of the sampled elements in slices that are reproduced to the last one, and copies of no
    checkpoint."""

    @property
    def gain(self) -> float:
        """Share of what decoys leave unexplained that the recipe explains."""
        left = 1.0 - self.decoy_share
        return (self.share - self.decoy_share) / left if left > 0 else 0.0


def hypothesise(estimates: SampleEstimates) -> list[Hypothesis]:
    """Return recipes in the order of what they reproduce of the sample, the best first.

    Recipes that reproduce the same elements are one: the first named of them is kept, the others
    are its equivalents. Where a sum with one weight for each checkpoint gives everything, no other
    method is tried.
    """
    counted: dict[str, MatchCounts] = {}
    if estimates.constant.share >= BF16_LEAST_SHARE:
        estimates.is_settled = True
        found = _found(estimates, SUMS, counted)
        if found and found[0].mismatched == 0:
            return found
        estimates.is_settled = False
    return _found(estimates, list(METHODS), counted)


def _found(
    estimates: SampleEstimates, methods: Sequence[str], counted: dict[str, MatchCounts]
) -> list[Hypothesis]:
    """Return recipes of some methods, the best first.

    ``counted`` is what recipes reproduce of a part of the sample, which is added to.
    """
    candidates: dict[str, Recipe] = {}
    for method in (METHODS[name] for name in methods):
        for recipe in RECOGNISERS[method.name].estimate(estimates):
            # Copies are told without recipes, and alone are so called.
            if recipe.copy_of is None or method.kind == "assembled":
                candidates.setdefault(_key(recipe), recipe)
        if method.kind == "assembled" and candidates:
            # Copies leave nothing to explain, by no other method either.
            break
    # What is stored in another dtype than most is rounded to that, and layers are where they are.
    recipes = [
        replace(
            each,
            out_dtypes=estimates.out_dtypes or each.out_dtypes,
            layers={n: x for n, x in estimates.layers.items() if n in each.checkpoints},
        )
        for each in candidates.values()
    ]
    keys = [_key(recipe) for recipe in recipes]
    fresh = {key: recipe for key, recipe in zip(keys, recipes, strict=True) if key not in counted}
    counts = count_matches(list(fresh.values()), estimates.small, estimates)
    counted |= dict(zip(fresh, counts, strict=True))
    counts = [counted[key] for key in keys]
    rows = estimates.is_blended
    if estimates.is_settled and all(count.mismatched[rows].any() for count in counts):
        return []
    # Next to a copy, only what gives everything is more than a copy with something else done to it.
    alone = [float(count.share[0]) for count in counts]
    kept = [i for i, each in enumerate(recipes) if alone[i] >= NEXT_TO_COPY or not is_copy(each)]
    recipes = [recipes[i] for i in kept]
    shares = _shares(recipes, [counts[i] for i in kept], estimates)
    order = np.argsort(-shares, kind="stable")
    refined: list[Recipe] = []
    for i in sorted(_short_list(recipes, order.tolist())):
        refine = RECOGNISERS[recipes[i].method].refine
        # What copies give of the child is no merit of a recipe whose numbers were fitted.
        beyond = estimates.copied + LEAST_BEYOND * (1.0 - estimates.copied)
        least = max(REFINED, beyond, float(shares.max()) - 0.1)
        worth = refine is not None and shares[i] >= least
        refined.append(refine(estimates, recipes[i]) if refine and worth else recipes[i])
    counts = count_matches(refined, estimates.sample, estimates)
    copying = {
        i: changed
        for i, recipe in enumerate(refined)
        if (changed := _with_copies(recipe, counts[i], estimates)) is not recipe
    }
    recounted = count_matches(list(copying.values()), estimates.sample, estimates)
    for (i, recipe), count in zip(copying.items(), recounted, strict=True):
        refined[i], counts[i] = recipe, count
    return _ranked(refined, counts, estimates)


def _with_copies(recipe: Recipe, count: MatchCounts, estimates: SampleEstimates) -> Recipe:
    """Return the recipe with those slices copied that it does not reproduce and that are copies.

    Embeddings, towers and buffers that a merge passed through are some checkpoint's. Of several
    that have the same bits, the one that weighs most is said.
    """
    if recipe.method == "passthrough":
        return recipe
    effective = recipe.effective_weights or {}
    names = sorted(
        dict.fromkeys([*recipe.checkpoints, *estimates.columns.candidates]),
        key=lambda name: -abs(effective.get(name, 0.0)),
    )
    copies = estimates.copies
    is_copied = (count.mismatched[:, 0] > 0) & copies.any(axis=1)
    if not is_copied.any():
        return recipe
    # What is the same in all is treated alike: of some, a sample shows no element that differs.
    is_copied |= copies[:, [estimates.columns[name] for name in recipe.checkpoints]].all(axis=1)
    copied = {
        estimates.slices[row].name: name
        for row in np.flatnonzero(is_copied).tolist()
        for name in reversed(names)
        if copies[row, estimates.columns[name]]
    }
    return replace(recipe, sources={**recipe.sources, **copied})


def _short_list(recipes: Sequence[Recipe], order: Sequence[int]) -> list[int]:
    """Return the indices of the best of all recipes, and of the best of every method, best first.

    ``order`` is that of all recipes, by what they reproduce of a part of the sample.
    """
    kept: list[int] = []
    by_method: Counter[str] = Counter()
    for place, i in enumerate(order):
        if place < SHORT_LIST or by_method[recipes[i].method] < OF_EACH:
            kept.append(i)
            by_method[recipes[i].method] += 1
    return kept


def _shares(
    recipes: Sequence[Recipe], counts: Sequence[MatchCounts], estimates: SampleEstimates
) -> Floats:
    """Return (recipes,) the share of elements that each recipe explains, with copies taken over.

    What :func:`_with_copies` will mend is held against no recipe: weights that were fitted to what
    is blended say nothing of a component that is a copy.
    """
    is_left = ~estimates.copies.any(axis=1)
    elements = max(int(estimates.small.counts.sum()), 1)
    left = np.array([int(count.mismatched[is_left, 0].sum()) for count in counts])
    alone = np.array([float(count.share[0]) for count in counts])
    is_copying = np.array([recipe.method == "passthrough" for recipe in recipes], dtype=bool)
    return np.where(is_copying, alone, 1.0 - left / elements)


def _key(recipe: Recipe) -> str:
    """Return a text that is the same for recipes that say the same."""
    # Matrices are not compared: they are as many numbers as a child, and no two are alike.
    said = json.dumps(replace(recipe, matrices={}).as_dict())
    return f"{said} {id(recipe.matrices) if recipe.matrices else ''}"


def _ranked(
    recipes: Sequence[Recipe], counts: Sequence[MatchCounts], estimates: SampleEstimates
) -> list[Hypothesis]:
    """Return recipes and what they reproduce, the best first, one of those that are alike.

    ``counts`` are those of each recipe. Decoys are tried for the best alone.
    """
    ranked: list[Hypothesis] = []
    seen: dict[tuple[int, int], int] = {}
    for i in _order(recipes, counts):
        hypothesis = _hypothesis(recipes[i], counts[i], estimates)
        if hypothesis.share < LEAST_SHARE:
            continue
        # Alike means alike in every slice, not in the sum alone.
        signature = hash((counts[i].mismatched.tobytes(), counts[i].explained.tobytes()))
        same = (hypothesis.mismatched, signature)
        if same in seen:
            ranked[seen[same]] = _with_equivalent(ranked[seen[same]], recipes[i])
            continue
        if len(ranked) >= SHORT_LIST:
            break
        seen[same] = len(ranked)
        ranked.append(hypothesis)
    if ranked:
        best = _with_alike(ranked)
        ranked[0] = replace(best, decoy_share=decoy_share(best.recipe, estimates))
    return ranked


def _order(recipes: Sequence[Recipe], counts: Sequence[MatchCounts]) -> list[int]:
    """Return the indices of recipes, the best first.

    Fewest mismatches first, then what reproduces rather than explains, then the simplest. Recipes
    with weights by slice come last unless they leave much less than any other does.
    """
    mismatched = [int(count.mismatched.sum()) for count in counts]
    explained = [int(count.explained.sum()) for count in counts]
    is_table = [has_weights_per_slice(recipe) for recipe in recipes]
    fewest = min((mismatched[i] for i, table in enumerate(is_table) if not table), default=0)
    return sorted(
        range(len(recipes)),
        key=lambda i: (
            is_table[i] and mismatched[i] >= TABLES * fewest,
            mismatched[i],
            explained[i],
            complexity(recipes[i]),
        ),
    )


def _hypothesis(recipe: Recipe, count: MatchCounts, estimates: SampleEstimates) -> Hypothesis:
    """Return a recipe with what it reproduces of the sample, before decoys are tried."""
    elements = int(estimates.sample.counts.sum())
    mismatched = int(count.mismatched.sum())
    return Hypothesis(
        recipe,
        1.0 - mismatched / max(elements, 1),
        mismatched,
        int(count.explained.sum()),
        elements,
        float("nan"),
        _whole_share(count, estimates),
    )


def _title(recipe: Recipe) -> str:
    """Return a recipe's method and arithmetic, as equivalents are named."""
    return f"{recipe.method} ({recipe.arithmetic})"


def _with_equivalent(hypothesis: Hypothesis, recipe: Recipe) -> Hypothesis:
    """Return a hypothesis with a recipe named as its equivalent, if it is not of the same name."""
    ours, title = hypothesis.recipe, _title(recipe)
    if title == _title(ours) or title in ours.equivalents:
        return hypothesis
    return replace(hypothesis, recipe=replace(ours, equivalents=(*ours.equivalents, title)))


def _whole_share(count: MatchCounts, estimates: SampleEstimates) -> float:
    """Return the share of elements in slices that are reproduced whole, and are no copies."""
    weight = estimates.sample.weight
    is_copy = estimates.copies.any(axis=1)
    is_whole = (count.reproduced[:, 0] == weight) & (weight > 0) & ~is_copy
    return float(weight[is_whole].sum() / max(float(weight.sum()), 1.0))


def _with_alike(ranked: Sequence[Hypothesis]) -> Hypothesis:
    """Return the best, with other methods named that fitting can not tell from it.

    Numbers of both are fitted, and their shares differ by no more than fitting leaves.
    """
    best = ranked[0]
    titles = list(best.recipe.equivalents)
    for other in ranked[1:] if best.recipe.fitted else ():
        title = _title(other.recipe)
        is_alike = other.recipe.fitted and best.share - other.share <= ALIKE
        if is_alike and other.recipe.method != best.recipe.method and title not in titles:
            titles.append(title)
    return replace(best, recipe=replace(best.recipe, equivalents=tuple(titles)))


def select_for_full_pass(
    hypotheses: Sequence[Hypothesis],
    *,
    is_whole: bool,
    decoys_of: Callable[[Recipe], float] = lambda _: math.nan,
) -> list[Hypothesis]:
    """Select at most three recipes for the full pass: the best on the sample and close runners-up.

    Where the sample is everything (``is_whole``), the best is known. None, if it explains too
    little. ``decoys_of`` measures the decoys of a runner-up, which are its own and no other's.
    """
    if not hypotheses:
        return []
    best = hypotheses[0]
    if not (best.gain >= LEAST_GAIN or best.whole_share >= LEAST_WHOLE):
        return []
    if is_whole:
        return [best]
    close = [other for other in hypotheses if other.share >= best.share - CLOSE]
    if best.mismatched == 0:
        # Of what reproduces all of a sample there is nothing to make up for.
        close = [other for other in close if other.mismatched < REFUTED]
    return [
        replace(chosen, decoy_share=decoys_of(chosen.recipe))
        if math.isnan(chosen.decoy_share)
        else chosen
        for chosen in close[:MOST_STREAMED]
    ]


def is_copy(recipe: Recipe) -> bool:
    """Return whether a recipe is all of one checkpoint, or all but what may be misread."""
    # Weights as they may have been written lie a little beyond the peak that they were read from.
    return recipe.nearly_copy_of(2.0 * COPY_DISTANCE) is not None


def has_weights_per_slice(recipe: Recipe) -> bool:
    """Return whether a recipe has weights by slice, which fit better by their number."""
    return any(
        isinstance(ingredient.weight, Mapping) and "slices" in ingredient.weight
        for ingredient in recipe.ingredients
    )


def complexity(recipe: Recipe) -> tuple[int, int, int, float]:
    """Return how much has to be said to state a recipe.

    Settings that vary, the method's place in the list, digits of weights, and how far a lambda is
    from one.
    """
    settings = [ingredient.weight for ingredient in recipe.ingredients]
    settings += [value for value in recipe.parameters.values() if not isinstance(value, bool | str)]
    structured = sum(isinstance(value, Mapping) for value in settings) + len(recipe.fitted)
    plain = [value for value in settings if value is not None and not isinstance(value, Mapping)]
    digits = sum(len(f"{value:.10g}".lstrip("-0.").replace(".", "")) for value in plain)
    # Shares say more than a ratio that has to be divided by its sum.
    is_sum = recipe.base is not None or len(plain) < len(settings) or not plain
    is_ratio = not is_sum and abs(sum(plain) - 1.0) > NEGLIGIBLE
    said = sum(isinstance(value, bool) for value in recipe.parameters.values()) + is_ratio
    place = list(METHODS).index(recipe.method)
    factor = recipe.parameters.get("lambda", 1.0)
    far = abs(math.log2(factor)) if isinstance(factor, float) and factor > 0 else 0.0
    return structured, place, digits + 4 * said, far
