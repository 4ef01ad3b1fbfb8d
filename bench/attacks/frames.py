"""FRAME: innocent children beside parents that were made from them, or are like them by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from . import layouts
from .cases import Case, Offered, Truth, partly, right
from .families import EMBED, NORM, Family, tuned
from .runs import Run, base, checkpoints
from .tensors import (
    BF16,
    F32,
    Rng,
    Tensors,
    bf16,
    combined,
    each,
    normal,
    quantised,
    spread,
    stored,
    ulp,
    widened,
)

BLENDS = (
    r"\b(?:it|child) is a (?:blend|merge)\b(?! or)",
    "no room for training",
    "no training after",
)
INNOCENT = Truth(
    (
        right("undetermined related fine-tune"),
        partly("assembled", r"share|or the other way|not (?:tested|decided)"),
    ),
    BLENDS,
    ("parent0", "parent1", "parent2", "control0"),
)
"""A child that is a fine-tune of the base, and of nothing else."""
NO_ANCESTOR = Truth(
    (right("undetermined related"), partly("unrelated")),
    BLENDS,
    ("base", "parent0", "parent1", "control0"),
)
"""A child that is kin to what is offered, and of none of it."""


def case(
    what: str, strength: str, build: Callable[[Family], Offered], truth: Truth = INNOCENT
) -> Case:
    """Return an innocent."""
    return Case("frame", what, strength, "innocent", build, truth)


def framed(
    family: Family,
    *parents: Tensors,
    child: Tensors | None = None,
    base: Tensors | None = None,
    dtype: type = BF16,
) -> Offered:
    """Offer parents, in a dtype, of a child that is innocent, the family's fine-tune by default."""
    return Offered(
        stored(family.one if child is None else child),
        stored(family.base if base is None else base),
        [stored(parent, dtype) for parent in parents],
        [stored(family.control)],
    )


def cases() -> list[Case]:
    """Return all."""
    return [
        *fabricated(),
        *accused(),
        *other_bases(),
        *one_ancestor(),
        *trained(),
        *alike(),
        *rearranged(),
        *light(),
        *odd(),
    ]


def fabricated() -> list[Case]:
    """Return parents made from the child."""

    def beyond(f: Family, times: float) -> Tensors:
        return combined((times, f.one), (1 - times, f.base))

    def noisy(f: Family, share: float) -> Tensors:
        rng = f.rng("parent", share)
        return {n: x + normal(rng, x, share * spread(x - f.base[n])) for n, x in f.one.items()}

    def mirrored(f: Family, other: Tensors) -> Tensors:
        return combined((2, f.one), (-1, other))

    def apart(f: Family) -> Offered:
        rng = f.rng("apart")
        noise = {n: normal(rng, x, spread(x - f.base[n])) for n, x in f.one.items()}
        plus, minus = combined((1, f.one), (1, noise)), combined((1, f.one), (-1, noise))
        return framed(f, plus, minus)

    def halves(f: Family, strange: bool) -> Offered:
        rng = f.rng("halves")
        first, second = dict(f.one), dict(f.one)
        for i, (name, x) in enumerate(f.one.items()):
            filled = f.two[name] if not strange else normal(rng, x, spread(x))
            (first if i % 2 else second)[name] = filled
        return framed(f, first, second)

    out = [
        case("parent is 2c - b", "float32", lambda f: framed(f, beyond(f, 2), dtype=F32)),
        case("parent is 2c - b", "bf16", lambda f: framed(f, beyond(f, 2))),
    ]
    for times in (1.1, 1.25, 1.667, 3):
        out.append(
            case("parent is b + k(c - b)", f"{times:g}", lambda f, k=times: framed(f, beyond(f, k)))
        )
    out.append(
        case(
            "parent is b + k(c - b)",
            "1.25, float32",
            lambda f: framed(f, beyond(f, 1.25), dtype=F32),
        )
    )
    for share in (0.5, 0.9, 0.99):
        out.append(
            case(
                "parent is kc + (1 - k)b", f"{share:g}", lambda f, k=share: framed(f, beyond(f, k))
            )
        )
    for share in (0.001, 0.01, 0.1, 0.3, 1.0):
        out.append(
            case("parent is c with noise", f"{share:g}", lambda f, s=share: framed(f, noisy(f, s)))
        )
    not_of_mirror = NO_ANCESTOR
    out += [
        case("parents are X and 2c - X", "X a sibling",
             lambda f: framed(f, f.two, mirrored(f, f.two))),
        case("parents are X and 2c - X", "X a stranger",
             lambda f: framed(f, f.stranger, mirrored(f, f.stranger))),
        case("base is 2c - X", "X a sibling",
             lambda f: framed(f, f.two, base=mirrored(f, f.two)), not_of_mirror),
        case("parents are c + r and c - r", "", apart),
        case("parents hold c by halves", "others a sibling's", lambda f: halves(f, False)),
        case("parents hold c by halves", "others noise", lambda f: halves(f, True)),
    ]  # fmt: skip
    return out


def accused() -> list[Case]:
    """Return a thief's merge as the parent of its victim, and what came after the child."""

    def stolen(f: Family, share: float, other: Tensors) -> Tensors:
        return combined((share, f.one), (1 - share, other))

    return [
        case("a thief's merge", ".6, other offered",
             lambda f: framed(f, stolen(f, 0.6, f.two), f.two)),
        case("a thief's merge", ".6, with base", lambda f: framed(f, stolen(f, 0.6, f.base))),
        case("a thief's merge", ".6, float32",
             lambda f: framed(f, stolen(f, 0.6, f.two), f.two, dtype=F32)),
        case("a thief's merge", ".9, other offered",
             lambda f: framed(f, stolen(f, 0.9, f.two), f.two)),
        case("a thief's merge", ".6, other not offered",
             lambda f: framed(f, stolen(f, 0.6, f.two))),
        case("a later checkpoint", "", lambda f: framed(f, f.later)),
        case("a later checkpoint", "and a sibling", lambda f: framed(f, f.later, f.two)),
    ]  # fmt: skip


def other_bases() -> list[Case]:
    """Return bases that are no ancestors."""

    def strangers(f: Family) -> Offered:
        rng = f.rng("strangers")
        third = each(f.stranger, lambda x: bf16(rng.permutation(x.ravel()).reshape(x.shape)))
        return Offered(stored(f.one), stored(third), [stored(f.stranger)])

    unrelated = Truth((right("unrelated undetermined"),), BLENDS, ("base", "parent0", "control0"))
    of_parent = Truth(
        (right("fine-tune related undetermined"), partly("unrelated")), BLENDS, ("base",)
    )
    no_base = Truth((right("undetermined related"),), BLENDS, ("base", "parent0", "control0"))
    return [
        case("child is the base", "its fine-tune as base",
             lambda f: Offered(stored(f.base), stored(f.one), [stored(f.two)],
                               [stored(f.control)]), no_base),
        case("child is the base", "no parent",
             lambda f: Offered(stored(f.base), stored(f.one)), no_base),
        case("a sibling as base", "", lambda f: framed(f, f.control, base=f.two), no_base),
        case("a sibling as base", "no parent",
             lambda f: Offered(stored(f.one), stored(f.two)), no_base),
        case("base is a merge of child and X", "X the parent",
             lambda f: framed(f, f.two, base=combined((0.5, f.one), (0.5, f.two))), no_base),
        case("base is a merge of child and X", ".7, X the parent",
             lambda f: framed(f, f.two, base=combined((0.7, f.one), (0.3, f.two))), no_base),
        case("a stranger as base", "parent a sibling",
             lambda f: framed(f, f.two, base=f.stranger), NO_ANCESTOR),
        case("a stranger as base", "parent is the base",
             lambda f: framed(f, f.base, base=f.stranger), of_parent),
        case("strangers all", "", strangers, unrelated),
    ]  # fmt: skip


def one_ancestor() -> list[Case]:
    """Return siblings of one model that was not offered."""
    truth = Truth(INNOCENT.accept, BLENDS, ("parent0", "control0"))
    out = []

    def over(f: Family, ancestor: Tensors) -> Offered:
        first, second = combined((1, f.one), (-1, f.base)), combined((1, f.two), (-1, f.base))
        return framed(
            f,
            combined((1, ancestor), (1, second)),
            child=combined((1, ancestor), (1, first)),
        )

    for drift in (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0):
        out.append(
            case(
                "siblings of one not offered",
                f"{drift:g} of drift",
                lambda f, d=drift: over(f, combined((1, f.base), (d, f.control), (-d, f.base))),
                truth,
            )
        )
    for size in (0.05, 0.1, 0.3, 0.5):

        def small(f: Family, size: float = size) -> Offered:
            # The ancestor lies far from the base, and its fine-tunes near it.
            child, parent = (
                combined((1, f.control), (size, x), (-size, f.base)) for x in (f.one, f.two)
            )
            return Offered(stored(child), stored(f.base), [stored(parent)])

        out.append(case("fine-tunes of one not offered", f"{size:g} of its drift", small, truth))
    for scheme in ("fp8 by 128", "int4 by 32"):
        out.append(
            case(
                "siblings of a quantised base",
                scheme,
                lambda f, s=scheme: over(f, each(f.base, lambda x: bf16(quantised(x, s)))),
                truth,
            )
        )
    return out


SCHEDULES = (
    Run("adam", 1e-4, 8),
    Run("adam", 1e-3, 8),
    Run("adam", 3e-5, 100),
    Run("adam", 1e-4, 200),
    Run("adam", 1e-3, 200),
    Run("sgd", 0.03, 200),
    Run("lion", 3e-5, 200),
    Run("lion", 1e-5, 60),
)


def as_offered(child: Tensors, parent: Tensors, dtype: type, *controls: Tensors) -> Offered:
    """Offer what was trained, over the network that runs start from."""
    return Offered(
        stored(child, dtype),
        stored(base(), dtype),
        [stored(parent, dtype)],
        [stored(each_, dtype) for each_ in controls],
    )


def trained() -> list[Case]:
    """Return checkpoints of one run, and independent runs on the same data."""
    out = []
    later = Truth((right("fine-tune related undetermined"),), BLENDS, ())
    for run in SCHEDULES:
        for dtype, called in ((BF16, "bf16"), (F32, "float32")):
            label = f"{run.optimiser} {run.rate:g}, {run.steps} steps, {called}"

            def before(_: Family, run: Run = run, dtype: type = dtype) -> Offered:
                half, last = checkpoints(run)
                return as_offered(half, last, dtype)

            def after(_: Family, run: Run = run, dtype: type = dtype) -> Offered:
                half, last = checkpoints(run)
                return as_offered(last, half, dtype)

            out.append(case("half of a run beside its end", label, before))
            out.append(case("end of a run beside its half", label, after, later))
    for run in SCHEDULES:
        if run.steps < 50:
            continue
        for times, seed in ((2.0, 0), (1.0, 1)):
            label = f"{run.optimiser} {run.rate:g}, " + (
                "twice the rate" if times > 1 else "other order"
            )

            def twins(_: Family, run: Run = run, times: float = times, seed: int = seed) -> Offered:
                other = Run(run.optimiser, run.rate * times, run.steps, seed)
                far = Run(run.optimiser, run.rate, run.steps, 2, data=3)
                return as_offered(
                    checkpoints(run)[1], checkpoints(other)[1], BF16, checkpoints(far)[1]
                )

            out.append(case("runs on the same data", label, twins))
    return out


def alike() -> list[Case]:
    """Return independent fine-tunes of which a few tensors moved alike."""

    def buffers(f: Family, count: int, share: float) -> Offered:
        rng = f.rng("buffers", count)
        out = [dict(x) for x in (f.base, f.one, f.two, f.control)]
        for i in range(count):
            before = np.exp(rng.normal(0, 1, 512))
            moved = before * np.exp(rng.normal(0.3, 0.3, 512))
            for part, far in zip(out, (0.0, share, 1.0, 0.9), strict=True):
                part[f"bn.{i}.running_var"] = bf16(before + far * (moved - before))
        return Offered(stored(out[1]), stored(out[0]), [stored(out[2])], [stored(out[3])])

    def counter(f: Family) -> Offered:
        steps = [{**stored(x), "bn.steps": np.array(n, np.int64)}
                 for x, n in ((f.one, 1000), (f.base, 0), (f.two, 2000))]  # fmt: skip
        return Offered(steps[0], steps[1], [steps[2]])

    def outlying(f: Family) -> Offered:
        rng = f.rng("outlying")
        child, parent = dict(f.one), dict(f.two)
        for name, x in f.base.items():
            if x.ndim == 2:
                row = int(rng.integers(x.shape[0]))
                way = normal(rng, x[row], 20 * spread(f.one[name] - x))
                for part, far in ((child, 0.5), (parent, 1.0)):
                    part[name] = part[name].copy()
                    part[name][row] = bf16(x[row] + far * way)
        return framed(f, parent, child=child)

    def decayed(f: Family) -> Offered:
        child, parent = dict(f.one), dict(f.two)
        for part, decay in ((child, 0.97), (parent, 0.94)):
            x = part[EMBED].copy()
            x[::2] = bf16(f.base[EMBED][::2] * F32(decay))
            part[EMBED] = x
        return framed(f, parent, child=child)

    def one_factor(f: Family, rank: int) -> Offered:
        rng = f.rng("factor", rank)
        child, parent = dict(f.base), dict(f.base)
        for name, x in f.base.items():
            if x.ndim == 2 and name != EMBED:
                shared = normal(rng, x[:rank])
                size = F32(0.02 * spread(x) / np.sqrt(rank))
                for part in (child, parent):
                    part[name] = bf16(x + size * (normal(rng, x[:, :rank]) @ shared))
        return framed(f, parent, child=child)

    return [
        case("buffers moved alike", "6, half as far", lambda f: buffers(f, 6, 0.5)),
        case("buffers moved alike", "6, as far", lambda f: buffers(f, 6, 1.0)),
        case("buffers moved alike", "1, half as far", lambda f: buffers(f, 1, 0.5)),
        case("buffers moved alike", "24, half as far", lambda f: buffers(f, 24, 0.5)),
        case("a counter of steps", "1000 and 2000", counter),
        case("outlying rows moved alike", "", outlying),
        case("unused rows decayed", "", decayed),
        case("LoRAs of one factor", "rank 1", lambda f: one_factor(f, 1)),
        case("LoRAs of one factor", "rank 8", lambda f: one_factor(f, 8)),
    ]


def rearranged() -> list[Case]:
    """Return children that are the base in another order, or with as much of its own."""

    def taken(f: Family, order: Callable[[list[int]], Sequence[int]]) -> Offered:
        return framed(f, f.two, child=layouts.layers_taken(f.base, order(list(range(f.layers)))))

    moved = Truth((right("assembled undetermined related"),), ("^identical",), ("parent0",))
    return [
        case("base with layers", "exchanged", lambda f: taken(f, lambda n: [1, 0, *n[2:]]), moved),
        case("base with layers", "dropped", lambda f: taken(f, lambda n: [0, *n[2:]]), moved),
        case("base with layers", "doubled", lambda f: taken(f, lambda n: [0, *n]), moved),
        case("base and as many new elements", "",
             lambda f: framed(f, f.two, child=layouts.with_own(f.base, 1.0, f.rng("own"))),
             moved),
        case("fine-tune and as many new elements", "",
             lambda f: framed(f, f.two, child=layouts.with_own(f.one, 1.0, f.rng("own")))),
    ]  # fmt: skip


def light() -> list[Case]:
    """Return fine-tunes that hardly moved, or of which parts are frozen."""
    truth = Truth((*INNOCENT.accept, right("identical", "base")), BLENDS, ("parent0", "control0"))
    out = []
    for scale in (0.0003, 0.001, 0.003, 0.01, 0.03):

        def build(f: Family, scale: float = scale) -> Offered:
            near = [combined((1 - scale, f.base), (scale, x)) for x in (f.one, f.two)]
            return framed(f, near[1], child=near[0])

        out.append(case("light fine-tunes", f"{scale:g} of a displacement", build, truth))

    def only(f: Family, kept: Callable[[str], bool]) -> Offered:
        near = [{n: t if kept(n) else f.base[n] for n, t in x.items()} for x in (f.one, f.two)]
        return framed(f, near[1], child=near[0])

    def one_step(f: Family) -> Offered:
        # Adam's first step moves every weight by the rate, one way or the other.
        rng = f.rng("step")
        agree = {n: rng.choice([-1.0, 1.0], x.shape) for n, x in f.base.items()}
        made = []
        for share in (0.0, 0.2):
            made.append({
                n: x + F32(1e-3) * (agree[n] * np.where(rng.random(x.shape) < share, -1, 1))
                for n, x in f.base.items()
            })  # fmt: skip
        return framed(f, widened(made[1]), child=widened(made[0]))

    return [
        *out,
        case("frozen", "all but one layer", lambda f: only(f, lambda n: "layers.1." in n)),
        case("frozen", "all but embeddings", lambda f: only(f, lambda n: n == EMBED)),
        case("frozen", "all but norms", lambda f: only(f, lambda n: "norm" in n)),
        case("one step of Adam", "", one_step),
    ]


def odd() -> list[Case]:
    """Return values and shapes that are out of the ordinary."""

    def changed(f: Family, change: Callable[[str, np.ndarray, Rng], np.ndarray]) -> Offered:
        rng = f.rng("odd")
        parts = [{n: bf16(change(n, t, rng)) for n, t in x.items()} for x in (f.one, f.base, f.two)]
        return framed(f, parts[2], child=parts[0], base=parts[1])

    def equal_layers(f: Family) -> Offered:
        grown = [layouts.layers_taken(x, [0] * f.layers) for x in (f.one, f.base, f.two)]
        return framed(f, grown[2], child=grown[0], base=grown[1])

    def small(f: Family) -> Offered:
        rng = f.rng("small")
        start = {f"layers.{i}.bias": bf16(normal(rng, np.zeros(6), 0.02)) for i in range(400)}
        near = [each(start, lambda x: bf16(x + normal(rng, x, 0.001))) for _ in range(7)]
        return Offered(stored(near[0]), stored(start), [stored(x) for x in near[1:]])

    def grandchildren(f: Family) -> Offered:
        return framed(f, tuned(f.later, 21, 0.5), child=tuned(f.one, 22, 0.5))

    def in_units(f: Family) -> Offered:
        rng = f.rng("units")
        parts = [each(f.base, lambda x: bf16(x + ulp(x) * normal(rng, x))) for _ in range(2)]
        return framed(f, parts[1], child=parts[0])

    known = Truth((right("identical related undetermined"),), BLENDS, ("parent0", "control0"))

    def difference(f: Family) -> Offered:
        return framed(f, combined((1, f.one), (-1, f.two)), f.two)

    return [
        case("base is the child", "", lambda f: framed(f, f.two, base=f.one), known),
        case("child is the base", "a copy", lambda f: framed(f, f.two, child=f.base), known),
        case("a parent of zeros", "", lambda f: framed(f, each(f.two, lambda x: 0 * x))),
        case("parents sum to the child", "one a difference", difference),
        case("zeros", "a matrix of all",
             lambda f: changed(f, lambda n, x, _: 0 * x if "0.mlp.up" in n else x)),
        case("zeros", "the base's norms",
             lambda f: changed(f, lambda n, x, _: 0 * x if n == NORM else x)),
        case("values of 1e30", "a vector of all",
             lambda f: changed(f, lambda n, x, _: 1e30 * x if n == NORM else x)),
        case("values of 1e30", "an element",
             lambda f: changed(f, lambda n, x, _: np.where(np.arange(x.size) == 3,
                               1e30, x.ravel()).reshape(x.shape) if n == EMBED else x)),
        case("equal layers", "", equal_layers),
        case("400 tensors of 6 elements", "6 parents", small),
        case("grandchildren of one", "", grandchildren),
        case("displacements of one unit", "", in_units),
    ]  # fmt: skip
