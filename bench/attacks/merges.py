"""HIDE: merges whose arithmetic, weights or company make them hard to tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .cases import Case, Offered, Truth, partly, right
from .disguises import rounded_merge
from .families import Family
from .tensors import F32, Array, Tensors, bf16, by_units, combined, each, stored

Blend = Callable[[Sequence[Array]], Array]
PURE = Truth((right("merge"),), ("is on top", "^merge-then-changed"), ("base", "control0"))
"""Of merges that nothing was done to: averaging in bf16 is no training."""


def running_mean(parts: Sequence[Array]) -> Array:
    """Average one after another, every operation rounded to bf16."""
    mean = parts[0]
    for count, part in enumerate(parts[1:], 2):
        mean = bf16(mean + bf16(bf16(part - mean) / F32(count)))
    return mean


def summed(parts: Sequence[Array]) -> Array:
    """Add up, and divide, every operation rounded to bf16."""
    total = parts[0]
    for part in parts[1:]:
        total = bf16(total + part)
    return bf16(total / F32(len(parts)))


def moving(parts: Sequence[Array], decay: float) -> Array:
    """Average with a decay, every operation rounded to bf16."""
    mean = parts[0]
    for part in parts[1:]:
        mean = bf16(bf16(mean * F32(decay)) + bf16(part * F32(1 - decay)))
    return mean


def rounded_terms(parts: Sequence[Array]) -> Array:
    """Blend by 0.6 and 0.4, every operation rounded to bf16."""
    return bf16(bf16(parts[1] * bf16(F32(0.6))) + bf16(parts[0] * bf16(F32(0.4))))


def averages() -> list[Case]:
    """Return merges in bf16, of two and of three."""
    made: list[tuple[str, str, Blend, int]] = [
        ("averaged in bf16", "running mean", running_mean, 3),
        ("averaged in bf16", "running mean, reversed", lambda p: running_mean(p[::-1]), 3),
        ("averaged in bf16", "sum divided", summed, 3),
        ("averaged in bf16", "moving, .9", lambda p: moving(p, 0.9), 3),
        ("averaged in bf16", "moving, .75", lambda p: moving(p, 0.75), 3),
        ("averaged in bf16", ".6 and .4, terms rounded", rounded_terms, 2),
    ]
    out = []
    for what, strength, blend, count in made:

        def build(family: Family, blend: Blend = blend, count: int = count) -> Offered:
            parts = (family.base, family.one, family.two)[:count]
            child = {n: blend([part[n] for part in parts]) for n in family.base}
            parents = [stored(part) for part in parts[1:]]
            return Offered(stored(child), stored(family.base), parents, [stored(family.control)])

        out.append(Case("hide", what, strength, "merge", build, PURE))
    return out


def weights() -> list[Case]:
    """Return merges with little of a parent."""
    out = []
    for weight in (0.03, 0.01, 0.003, 0.001):

        def build(family: Family, weight: float = weight) -> Offered:
            child = combined((weight, family.one), (1 - weight, family.base))
            return plain(family, child)

        truth = Truth((right("merge"),), (), ("base", "control0"))
        out.append(Case("hide", "weight", f"{weight:g}", "merge", build, truth))

    def of_three(family: Family) -> Offered:
        child = combined((0.5, family.one), (0.499, family.two), (0.001, family.control))
        parents = [stored(x) for x in (family.one, family.two, family.control)]
        return Offered(stored(child), stored(family.base), parents)

    out.append(Case("hide", "weight", ".5 + .499 + .001", "merge", of_three, PURE))
    for weight in (0.25, 0.571):

        def wide(family: Family, weight: float = weight) -> Offered:
            # float32 children of two parents, computed in float64.
            child = {
                name: (
                    0.3 * x.astype(np.float64)
                    + weight * family.one[name]
                    + (0.7 - weight) * family.two[name]
                ).astype(F32)
                for name, x in family.base.items()
            }
            parents = [stored(family.one), stored(family.two)]
            return Offered(child, stored(family.base), parents, [stored(family.control)])

        out.append(Case("hide", "computed in float64", f"{weight:g}", "merge", wide, PURE))
    return out


def plain(family: Family, child: Tensors) -> Offered:
    """Offer base, parent and control."""
    return Offered(
        stored(child), stored(family.base), [stored(family.one)], [stored(family.control)]
    )


def company() -> list[Case]:
    """Return merges with near copies among what is offered."""

    def near(x: Tensors, family: Family) -> Tensors:
        rng = family.rng("near")
        return each(x, lambda t: by_units(t, rng.choice([-2.0, 2.0], t.shape)))

    def offered(family: Family, parents: list[Tensors], control: Tensors) -> Offered:
        return Offered(stored(rounded_merge(family)), stored(family.base), parents, [control])

    made: list[tuple[str, str, Callable[[Family], Offered]]] = [
        ("control near the parent", "2 ulp",
         lambda f: offered(f, [stored(f.one)], stored(near(f.one, f)))),
        ("control near the child", "2 ulp",
         lambda f: offered(f, [stored(f.one)], stored(near(rounded_merge(f), f)))),
        ("control is the parent", "in f16",
         lambda f: offered(f, [stored(f.one)], stored(f.one, np.float16))),
        ("second parent near the first", "2 ulp",
         lambda f: offered(f, [stored(f.one), stored(near(f.one, f))], stored(f.control))),
        ("second parent is the first", "in f16",
         lambda f: offered(f, [stored(f.one), stored(f.one, np.float16)], stored(f.control))),
        ("second parent is the first", "in bf16",
         lambda f: offered(f, [stored(f.one), stored(f.one)], stored(f.control))),
    ]  # fmt: skip
    truth = Truth((right("merge"), partly("merge-then-changed")), ("is on top",), ("base",))
    return [Case("hide", what, how, "merge", build, truth) for what, how, build in made]


def cases() -> list[Case]:
    """Return all."""
    return [*averages(), *weights(), *company()]
