"""HIDE: disguises of a true merge (0.6 of a fine-tune and 0.4 of its base) and of a true copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from . import functions, layouts
from .cases import Case, Offered, Truth, partly, right
from .families import EMBED, Family, layer_of
from .tensors import (
    BF16,
    F32,
    Rng,
    Tensors,
    by_units,
    combined,
    each,
    normal,
    quantised,
    spread,
    stochastic,
    stored,
    ulp,
)

Change = Callable[[Tensors, Family, Rng], Tensors]
Accepted = tuple[tuple[str, tuple[str, ...], str], ...]
ROOM = "no room for training"
NO_ROOM = f"{ROOM}|no training after"
"""Of what was moved, and all of it found again, it is true that nothing was trained afterwards."""
BLEND_OF_NOTHING = (
    r"slerp|\b-?0(?:\.00\d*)? base|\b(?:1|1\.0+|0\.99\d*) (?:of )?parent0 (?:and|\+) "
)
"""A copy that is described as a blend."""
CALLED_BLEND = f"^merge.*(?:{BLEND_OF_NOTHING})"
OWN = r"(?<!nor a )(?<!no )direction of its own"
LORA = r"a LoRA\b|ablation of a direction"

HOW = r"bit for bit|\balone\b|noise|quanti|factor|scaled|zero|set to 0|in place|permut"
WITHIN = r"(?:[^.]|\.\d)*"
SHARED = rf"\bparent0\b{WITHIN}(?:{HOW})|(?:{HOW}){WITHIN}\bparent0\b"
"""A copy of which it is told what it has of its source, with the order of the two left open."""

CHANGED_MERGE = (right("merge merge-then-changed"),)
CHANGED_COPY = (
    partly("undetermined", BLEND_OF_NOTHING),
    right("related undetermined", SHARED),
    right("fine-tune merge-then-changed assembled", "parent0"),
)


@dataclass(frozen=True)
class Disguise:
    """A change, and what may be said of a merge and of a copy that were changed so."""

    what: str
    strength: str
    change: Change
    of_merge: Accepted | None
    of_copy: Accepted | None
    never: tuple[str, ...] = ()
    never_of_copy: tuple[str, ...] = ()
    later: bool = False
    two_parents: bool = False
    mixed: bool = False
    """Whether something of others is in it, so that a copy is a blend indeed."""
    dtype: type = BF16


def merge_of(family: Family) -> Tensors:
    """Return the merge that is disguised, before it is rounded."""
    return combined((0.6, family.one), (0.4, family.base))


def rounded_merge(family: Family) -> Tensors:
    """Return the merge that is disguised, as it is stored."""
    return {name: x.astype(F32) for name, x in stored(merge_of(family)).items()}


def cases() -> list[Case]:
    """Return every disguise, on a merge and on a copy."""
    out = []
    for disguise in disguises():
        for of in ("merge", "copy"):
            accept = disguise.of_merge if of == "merge" else disguise.of_copy
            if accept is None:
                continue
            never = disguise.never
            if of == "copy":
                never += disguise.never_of_copy
                never += () if disguise.mixed else (CALLED_BLEND,)
            truth = Truth(accept, never, ("base", "control0"))
            build = partial(disguised, disguise, of)
            out.append(
                Case("hide", disguise.what, disguise.strength, of, build, truth, disguise.later)
            )
    return out


def disguised(disguise: Disguise, of: str, family: Family) -> Offered:
    """Carry a disguise out."""
    origin = rounded_merge(family) if of == "merge" else family.one
    changed = disguise.change(origin, family, family.rng(disguise.what, disguise.strength, of))
    parents = [stored(family.one)]
    if disguise.two_parents:
        parents.append(stored(family.two))
    return Offered(
        stored(changed, disguise.dtype), stored(family.base), parents, [stored(family.control)]
    )


def disguises() -> list[Disguise]:
    """Return all, most of them at several strengths."""
    return [
        *noises(),
        *scales(),
        *orders(),
        *encodings(),
        *additions(),
        *parts(),
        *prunings(),
        *names(),
        *rearranged(),
        *several(),
    ]


def noise(x: Tensors, family: Family, rng: Rng, share: float) -> Tensors:
    """Add white noise of a share of each tensor's displacement."""
    return {
        name: t + normal(rng, t, share * spread(family.one[name] - family.base[name]))
        for name, t in x.items()
    }


def noises() -> list[Disguise]:
    """Return noise by displacement and by unit, real training, chance in rounding."""
    out = []
    for share in (0.001, 0.01, 0.03, 0.1, 0.3, 1.0):
        never = (NO_ROOM,) if share > 0.001 else ()
        change = partial(noise, share=share)
        copy = CHANGED_COPY if share < 1 else (*CHANGED_COPY, right("undetermined", "parent0"))
        out.append(
            Disguise("noise", f"{share:g} of the displacement", change, CHANGED_MERGE, copy, never)
        )
    for units in (0.25, 1.0, 4.0):

        def in_units(x: Tensors, _: Family, rng: Rng, units: float = units) -> Tensors:
            return each(x, lambda t: t + normal(rng, t, units) * ulp(t))

        out.append(
            Disguise("noise", f"{units:g} ulp", in_units, CHANGED_MERGE, CHANGED_COPY, (NO_ROOM,))
        )
    for share in (0.01, 0.1, 0.3, 1.0):

        def training(x: Tensors, family: Family, _: Rng, share: float = share) -> Tensors:
            return combined((1, x), (share, family.later), (-share, family.one))

        out.append(
            Disguise(
                "training", f"{share:g} of a run", training, CHANGED_MERGE, CHANGED_COPY, (NO_ROOM,)
            )
        )

    def by_chance(_: Tensors, family: Family, rng: Rng) -> Tensors:
        return each(merge_of(family), lambda t: stochastic(t, rng))

    out.append(Disguise("rounded by chance", "bf16", by_chance, CHANGED_MERGE, None, (NO_ROOM,)))

    def wide(x: Tensors, _: Family, rng: Rng) -> Tensors:
        return each(x, lambda t: t * (1 + normal(rng, t, 1e-7)))

    out.append(
        Disguise("float32 noise", "1e-7 of a weight", wide, CHANGED_MERGE, CHANGED_COPY, dtype=F32)
    )
    return out


def scales() -> list[Disguise]:
    """Return factors that cancel."""
    out = []
    copy = (
        partly("undetermined", BLEND_OF_NOTHING),
        right("re-encoded"),
        right("related undetermined", SHARED),
        right("fine-tune merge-then-changed assembled", r"scal|factor|times"),
        partly("fine-tune merge-then-changed assembled", "parent0"),
    )
    for factor in (2.0, 1.25, 1.01):

        def of_norms(x: Tensors, family: Family, _: Rng, factor: float = factor) -> Tensors:
            return functions.norms_scaled(x, family, factor)

        out.append(
            Disguise(
                "norms scaled", f"x{factor:g}", of_norms, CHANGED_MERGE, copy, (NO_ROOM,), (OWN,)
            )
        )
    for factor in (2.0, 1.1, -1.0):

        def of_pairs(x: Tensors, family: Family, _: Rng, factor: float = factor) -> Tensors:
            return functions.pairs_scaled(x, family, factor)

        out.append(
            Disguise(
                "v and up scaled", f"x{factor:g}", of_pairs, CHANGED_MERGE, copy, (NO_ROOM,), (OWN,)
            )
        )
    return out


def orders() -> list[Disguise]:
    """Return other orders and bases of what a layer holds."""
    moved = r"permut|order|moved|sign|basis|rotat|rows"
    merge = (
        right("merge merge-then-changed assembled", moved),
        partly("merge merge-then-changed"),
        partly("unrelated", "basis|permut|rotat"),
    )
    copy = (
        right("re-encoded assembled"),
        right("related", SHARED),
        partly("fine-tune merge-then-changed", "parent0"),
        partly("unrelated", "basis|permut|rotat"),
    )
    made: list[tuple[str, Change]] = [
        ("neurons permuted", functions.neurons_permuted),
        ("heads permuted", functions.heads_permuted),
        ("signs of dimensions", functions.signs),
        ("signed permutation", functions.signed_permutation),
        (
            "signed permutation and neurons",
            lambda x, family, rng: functions.signed_permutation(
                functions.neurons_permuted(x, family, rng), family, rng
            ),
        ),
        ("rotation", functions.rotation),
        ("vocabulary permuted", lambda x, _, rng: functions.vocabulary_permuted(x, rng)),
    ]
    never = (ROOM, "^identical")
    out = [
        Disguise(what, "", change, merge, copy, never, (OWN,), later=True) for what, change in made
    ]
    rows = r"row|cut|token|not compared|missing|embed"
    out.append(
        Disguise(
            "vocabulary cut", "to half",
            lambda x, _family, _rng: functions.vocabulary_cut(x),
            (right("merge merge-then-changed assembled", rows),),
            (right("assembled", rows), right("undetermined", "parent0.*bit")),
        )
    )  # fmt: skip
    return out


def encodings() -> list[Disguise]:
    """Return children that were stored coarsely and decoded."""
    out = []
    for scheme in ("f16", "e4m3", "e5m2", "fp8 by 128", "int8 by row", "int8 by 32", "int4 by 32"):

        def through(x: Tensors, _: Family, _rng: Rng, scheme: str = scheme) -> Tensors:
            return each(x, lambda t: quantised(t, scheme))

        words = r"quanti|grid|levels|distinct|int[48]|e[45]m[32]|f(?:loat)?16|fp8|decoded"
        merge = (
            right("merge merge-then-changed re-encoded", "" if scheme == "f16" else words),
            partly("merge merge-then-changed"),
        )
        copy = (
            right("re-encoded"),
            right("related", SHARED),
            right("fine-tune merge-then-changed", words),
            *((right("fine-tune", "parent0"),) if scheme == "f16" else ()),
        )
        never, never_of_copy = ((), ()) if scheme == "f16" else ((NO_ROOM,), (OWN,))
        out.append(Disguise("through", scheme, through, merge, copy, never, never_of_copy))
    return out


def low_rank(x: Tensors, family: Family, rng: Rng, rank: int, share: float) -> Tensors:
    """Add an update of low rank to every matrix."""
    out = dict(x)
    for name, t in x.items():
        if t.ndim == 2 and name != EMBED:
            left, right_ = normal(rng, t[:, :rank]), normal(rng, t[:rank])
            size = share * spread(family.one[name] - family.base[name])
            out[name] = t + F32(size / np.sqrt(rank)) * (left @ right_)
    return out


def additions() -> list[Disguise]:
    """Return updates of low rank, and shares of others."""
    copy = (
        partly("undetermined", BLEND_OF_NOTHING),
        right("related undetermined", SHARED),
        right("fine-tune merge-then-changed assembled", "parent0"),
    )
    merge = CHANGED_MERGE
    out = [
        Disguise("low rank", "1, of .1", partial(low_rank, rank=1, share=0.1), merge, copy,
                 (NO_ROOM,)),
        Disguise("low rank", "4, of .03", partial(low_rank, rank=4, share=0.03), merge, copy,
                 (NO_ROOM,)),
    ]  # fmt: skip
    for share in (0.001, 0.01):

        def strange(x: Tensors, family: Family, _: Rng, share: float = share) -> Tensors:
            return combined((1 - share, x), (share, family.stranger))

        def sibling(x: Tensors, family: Family, _: Rng, share: float = share) -> Tensors:
            return combined((1 - share, x), (share, family.two))

        out.append(
            Disguise("and a stranger", f"{share:g}", strange, merge, copy, (NO_ROOM,), mixed=True),
        )
        out.append(
            Disguise(
                "and a sibling", f"{share:g}", sibling, merge, (*copy, right("merge")), mixed=True
            )
        )
    return out


def parts() -> list[Disguise]:
    """Return changes of few elements, rows, matrices, layers."""
    few = (
        partly("undetermined", BLEND_OF_NOTHING),
        right("related undetermined", SHARED),
        right("fine-tune assembled merge-then-changed re-encoded", r"parent0"),
    )
    plain = (OWN, LORA, r"100\.0+ ?% of the elements are unchanged", "^identical")

    def one_bit(x: Tensors, _: Family, rng: Rng) -> Tensors:
        out = {}
        for name, t in x.items():
            units = np.zeros(t.size)
            units[rng.integers(t.size)] = 1
            out[name] = by_units(t, units.reshape(t.shape))
        return out

    def by_one_ulp(x: Tensors, _: Family, rng: Rng, share: float) -> Tensors:
        def moved(t: np.ndarray) -> np.ndarray:
            ways = rng.choice([-1.0, 1.0], t.shape) * (rng.random(t.shape) < share)
            return by_units(t, ways)

        return each(x, moved)

    def rows(x: Tensors, _: Family, rng: Rng, every: bool) -> Tensors:
        out = dict(x)
        for name in matrices(x) if every else [matrices(x)[5]]:
            t = x[name].copy()
            row = int(rng.integers(t.shape[0]))
            t[row] = normal(rng, t[row], spread(t))
            out[name] = t
        return out

    def foreign_layer(x: Tensors, family: Family, _: Rng) -> Tensors:
        return {n: family.two[n] if layer_of(n) == 1 else t for n, t in x.items()}

    def tensors_of(x: Tensors, _: Family, rng: Rng, part: str, size: float | None) -> Tensors:
        return {
            n: (
                t
                if part not in n
                else normal(rng, t, spread(t))
                if size is None
                else t + normal(rng, t, size)
            )
            for n, t in x.items()
        }

    def norms_one(x: Tensors, _: Family, _rng: Rng) -> Tensors:
        return {n: np.ones_like(t) if t.ndim == 1 else t for n, t in x.items()}

    def outliers(x: Tensors, _: Family, rng: Rng) -> Tensors:
        out = {n: t.copy() for n, t in x.items()}
        for name in rng.choice(matrices(x), 8):
            out[name].flat[rng.integers(0, out[name].size, 5)] = 100
        return out

    def random_bits(x: Tensors, _: Family, rng: Rng) -> Tensors:
        def bits(t: np.ndarray) -> np.ndarray:
            drawn = rng.integers(0, 1 << 16, t.shape, dtype=np.uint16)
            return drawn.view(BF16).astype(F32)

        return {n: bits(t) if "1.mlp.up" in n else t for n, t in x.items()}

    def not_a_number(x: Tensors, _: Family, _rng: Rng) -> Tensors:
        return {n: np.full_like(t, np.nan) if "1.mlp.up" in n else t for n, t in x.items()}

    up = "layers.1.mlp.up_proj"
    named = (
        partly("undetermined", BLEND_OF_NOTHING),
        right("related undetermined", SHARED),
        right("fine-tune assembled merge-then-changed", r"parent0.*up_proj|up_proj.*parent0"),
        partly("fine-tune assembled merge-then-changed", "parent0"),
    )
    merge = (right("merge merge-then-changed assembled"),)
    layer = (
        right("assembled"),
        right("related", SHARED),
        right("fine-tune merge-then-changed", r"parent0.*layers?[ .]1"),
        partly("fine-tune merge-then-changed", "parent0"),
    )
    return [
        Disguise("one bit of every tensor", "", one_bit, merge, few, (), plain),
        Disguise("by one ulp", ".1 %", partial(by_one_ulp, share=0.001), merge, few, (), plain),
        Disguise("by one ulp", "1 %", partial(by_one_ulp, share=0.01), merge, few, (NO_ROOM,),
                 plain),
        Disguise("a row of noise", "in one matrix", partial(rows, every=False), merge, few,
                 (NO_ROOM,), plain),
        Disguise("a row of noise", "in every matrix", partial(rows, every=True), merge, few,
                 (NO_ROOM,), plain),
        Disguise("a sibling's layer", "", foreign_layer, merge, layer, (NO_ROOM,), (OWN,)),
        Disguise("a sibling's layer", "sibling offered", foreign_layer, merge,
                 (right("assembled"),), (ROOM,), (OWN,), two_parents=True),
        Disguise("a matrix of noise", "one", partial(tensors_of, part=up, size=None), merge, named,
                 (NO_ROOM,), plain),
        Disguise("a matrix of noise", "all up_proj",
                 partial(tensors_of, part="up_proj", size=None), merge, named, (NO_ROOM,), plain),
        Disguise("noise in one matrix", ".003",
                 partial(tensors_of, part=up, size=0.003), merge, named, (NO_ROOM,), plain),
        Disguise("norms of one", "", norms_one, merge, few, (NO_ROOM,), plain),
        Disguise("outliers", "40 elements of 100", outliers, merge, few, (NO_ROOM, "^unrelated"),
                 plain),
        Disguise("random bits", "one matrix", random_bits, merge, named,
                 (NO_ROOM, "^unrelated"), plain),
        Disguise("not a number", "one matrix", not_a_number, merge, named, (NO_ROOM,), plain),
    ]  # fmt: skip


def matrices(x: Tensors) -> list[str]:
    """Return the names of matrices."""
    return [name for name, t in x.items() if t.ndim == 2]


def zeroed(x: Tensors, _: Family, rng: Rng, share: float, smallest: bool) -> Tensors:
    """Set a share of each matrix to zero: the smallest, or at random."""

    def pruned(t: np.ndarray) -> np.ndarray:
        if t.ndim < 2:
            return t
        order = np.abs(t) if smallest else rng.random(t.shape)
        return np.where(order <= np.quantile(order, share), F32(0), t)

    return each(x, pruned)


def prunings() -> list[Disguise]:
    """Return children of which some weights are zero."""
    out = []
    copy = (
        partly("undetermined", BLEND_OF_NOTHING),
        right("related undetermined", SHARED),
        right("fine-tune assembled merge-then-changed re-encoded", r"zero|prun|set to 0"),
        partly("fine-tune assembled merge-then-changed", "parent0"),
    )
    for share in (0.01, 0.5):
        for smallest in (False, True):
            strength = f"{share:.0%} {'smallest' if smallest else 'at random'}"
            change = partial(zeroed, share=share, smallest=smallest)
            out.append(
                Disguise("zeroed", strength, change, CHANGED_MERGE, copy, (NO_ROOM,), (OWN,))
            )
    return out


def names() -> list[Disguise]:
    """Return children whose tensors are called otherwise."""
    same = (right("identical re-encoded assembled"),)
    merge = (right("merge assembled"), right("merge-then-changed", "name"))
    moved = (
        right("merge assembled", "gate_proj|up_proj"),
        right("merge-then-changed", "gate_proj|up_proj"),
        partly("merge-then-changed"),
    )
    fused = (right("merge assembled", "qkv|fused"), partly("merge merge-then-changed"))
    return [
        Disguise("a prefix", "module.", lambda x, _f, _r: layouts.prefixed(x, "module."), merge,
                 same),
        Disguise("a prefix", "of its own", lambda x, _f, _r: layouts.prefixed(x, "zq7.w_"), merge,
                 same),
        Disguise("names are numbers", "", lambda x, _f, _r: layouts.numbered(x), merge, same),
        Disguise("gate and up exchanged", "",
                 lambda x, _f, _r: layouts.exchanged(x, "gate_proj", "up_proj"), moved,
                 (right("assembled"),), (NO_ROOM, "^identical")),
        Disguise("q, k, v fused", "",
                 lambda x, _f, _r: layouts.fused(x, ("q_proj", "k_proj", "v_proj"), "qkv_proj"),
                 fused, (right("re-encoded assembled identical", "qkv|fused"),)),
    ]  # fmt: skip


def rearranged() -> list[Disguise]:
    """Return children whose layers are others', and children with more of their own."""
    out = []
    said = r"layer"
    merge = (right("merge assembled merge-then-changed", said),)
    for what in ("exchanged", "dropped", "doubled", "reversed"):

        def taken(x: Tensors, family: Family, _: Rng, what: str = what) -> Tensors:
            order = list(range(family.layers))
            if what == "exchanged":
                order[0], order[1] = 1, 0
            elif what == "dropped":
                del order[1]
            elif what == "doubled":
                order.insert(1, 1)
            else:
                order.reverse()
            return layouts.layers_taken(x, order)

        out.append(Disguise("layers", what, taken, merge, (right("assembled"),), ("^identical",)))

    def averaged(x: Tensors, family: Family, _: Rng) -> Tensors:
        out = layouts.layers_taken(x, list(range(1, family.layers)))
        first, second = layouts.layers_taken(x, [0]), layouts.layers_taken(x, [1])
        for name in out:
            if layer_of(name) == 0:
                out[name] = (first[name] + second[name]) / F32(2)
        return out

    out.append(
        Disguise(
            "layers",
            "two averaged",
            averaged,
            merge,
            (right("assembled merge merge-then-changed", said),),
            ("^identical",),
        )
    )
    for share in (0.3, 0.95, 1.6):

        def with_own(x: Tensors, _: Family, rng: Rng, share: float = share) -> Tensors:
            return layouts.with_own(x, share, rng)

        own = r"own|not compared|added|adapter|without a counterpart"
        out.append(
            Disguise(
                "elements of its own",
                f"{share:g} for each",
                with_own,
                (right("merge merge-then-changed assembled", own),),
                (right("assembled", own), right("undetermined", "parent0.*bit")),
                ("^identical", *(("^merge!",) if share > 0.5 else ())),
            )
        )
    return out


def several() -> list[Disguise]:
    """Return several tricks at once."""

    def scaled_and_pruned(x: Tensors, family: Family, rng: Rng) -> Tensors:
        scaled = functions.norms_scaled(x, family, 2.0)
        return zeroed(scaled, family, rng, 0.01, smallest=False)

    def noisy_with_own(x: Tensors, family: Family, rng: Rng) -> Tensors:
        return layouts.with_own(noise(x, family, rng, 0.01), 0.95, rng)

    def dropped_and_noisy(x: Tensors, family: Family, rng: Rng) -> Tensors:
        return layouts.layers_taken(noise(x, family, rng, 0.01), list(range(1, family.layers)))

    never = (NO_ROOM, "^identical")
    return [
        Disguise("several", "norms x2, 1% zero", scaled_and_pruned, CHANGED_MERGE, CHANGED_COPY,
                 never, (OWN,)),
        Disguise("several", "noise, own elements", noisy_with_own,
                 (right("merge merge-then-changed assembled"),), CHANGED_COPY, never),
        Disguise("several", "layer dropped, noise", dropped_and_noisy,
                 (right("merge-then-changed assembled merge", "layer"),),
                 (right("assembled fine-tune merge-then-changed", "layer"),
                  right("related", f"(?:{SHARED}).*layers"),
                  partly("fine-tune", "parent0")), never),
    ]  # fmt: skip
