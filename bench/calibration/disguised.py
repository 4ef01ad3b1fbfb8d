"""Combinations that were built to be mistaken: disguised copies and merges, framed innocents."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from family import BF16, Case, Family, f32, load, save, ulp

sys.path.append(str(Path(__file__).parent.parent))

from attacks.merges import moving, running_mean, summed
from attacks.tensors import quantised

Tensors = dict[str, np.ndarray]
LAYER = re.compile(r"\.(layers?|h|blocks)\.(\d+)\.")
VALUES, OUTPUTS = r"v_proj|self\.value", r"o_proj|attention\.output\.dense"
SCHEMES = ("e4m3", "fp8 by 128", "int8 by row", "int8 by 32", "int4 by 32")
CHANGED_COPY = ("fine-tune", "merge-then-changed", "assembled")


def cases(family: Family) -> list[Case]:
    """Return all; what is right of each was written from what was done, not from what is said."""
    members = {name: tensors_of(family, name) for name in [family.base, *family.first[:3]]}
    rng = np.random.default_rng(11)
    out = []
    for parent in family.first[:2]:
        one, base = members[parent], members[family.base]
        merge = blended(one, base, 0.6)
        for of, origin in (("copy", one), ("merge", merge)):
            out += rearranged(family, parent, of, origin)
            out += incomplete(family, parent, of, origin)
            out += changed(family, parent, of, origin, rng)
            out += encoded(family, parent, of, origin)
        out += averaged(family, parent, members)
        out += framed(family, parent, one, base, rng)
        out += ancestors(family, parent)
    return out


def tensors_of(family: Family, name: str) -> Tensors:
    """Return a member as float32; what is no number with a fraction stays as it is."""
    return {
        key: x if np.issubdtype(x.dtype, np.integer) else f32(x)
        for key, x in load(family.path(name)).items()
    }


def blended(one: Tensors, base: Tensors, weight: float) -> Tensors:
    """Return a merge, as bf16 holds it."""
    return each_matrix(
        {n: np.float32(weight) * one[n] + np.float32(1 - weight) * x for n, x in base.items()},
        lambda _, x: x,
    )


def each_matrix(tensors: Tensors, change: Callable[[str, np.ndarray], np.ndarray]) -> Tensors:
    """Return tensors of which the float32 ones were changed, and are numbers that bf16 holds."""
    return {
        name: change(name, x).astype(BF16).astype(np.float32) if x.dtype == np.float32 else x
        for name, x in tensors.items()
    }


def written(family: Family, name: str, tensors: Tensors) -> Path:
    """Write tensors, the float32 ones as bf16."""
    return save(
        {n: x.astype(BF16) if x.dtype == np.float32 else x for n, x in tensors.items()},
        family.scratch / name,
    )


def of_layers(tensors: Tensors, order: list[int]) -> Tensors:
    """Return a model of the layers of another, in an order."""
    found = {name: LAYER.search(name) for name in tensors}
    out = {name: x for name, x in tensors.items() if not found[name]}
    for new, old in enumerate(order):
        for name, x in tensors.items():
            match = found[name]
            if match and int(match[2]) == old:
                out[f"{name[: match.start(2)]}{new}{name[match.end(2) :]}"] = x
    return out


def depth(tensors: Tensors) -> int:
    """Return the number of layers."""
    return 1 + max(int(match[2]) for match in map(LAYER.search, tensors) if match)


def rearranged(family: Family, parent: str, of: str, origin: Tensors) -> Iterator[Case]:
    """Yield children whose layers stand elsewhere."""
    count = depth(origin)
    if count < 3:
        return
    orders = {
        "exchanged": [1, 0, *range(2, count)],
        "dropped": [0, *range(2, count)],
        "doubled": [0, 0, *range(1, count)],
        "reversed": list(range(count))[::-1],
    }
    right = ("assembled",) if of == "copy" else ("assembled", "merge", "merge-then-changed")
    for what, order in orders.items():
        made = written(family, f"{parent}_{of}_{what}", of_layers(origin, order))
        yield family.case(f"rearranged {of}", made, [parent], *right)


def incomplete(family: Family, parent: str, of: str, origin: Tensors) -> Iterator[Case]:
    """Yield children of which much is not there."""
    half = depth(origin) // 2
    kept = {
        "norms": {n: x for n, x in origin.items() if x.ndim == 1},
        "shard": dict(list(origin.items())[: len(origin) * 2 // 3]),
        "layers": {n: x for n, x in origin.items()
                   if not (m := LAYER.search(n)) or int(m[2]) < half},
        "no_embedding": {n: x for n, x in origin.items() if "embed" not in n},
    }  # fmt: skip
    right = ("assembled",) if of == "copy" else ("assembled", "merge")
    for what, tensors in kept.items():
        if not 0 < len(tensors) < len(origin):
            continue
        made = written(family, f"{parent}_{of}_only_{what}", tensors)
        yield family.case(f"incomplete {of}", made, [parent], *right)


def changed(
    family: Family, parent: str, of: str, origin: Tensors, rng: np.random.Generator
) -> Iterator[Case]:
    """Yield children of which one tensor was changed, that were noised, or rescaled."""
    right = CHANGED_COPY if of == "copy" else ("merge", "merge-then-changed", "assembled")
    matrices = [name for name, x in origin.items() if x.ndim == 2]
    middle = matrices[len(matrices) // 2]
    spread = np.std(origin[middle])
    replaced: dict[str, np.ndarray] = {
        "random": rng.normal(0, spread, origin[middle].shape),
        "zero": np.zeros_like(origin[middle]),
        "noised": origin[middle] + rng.normal(0, 0.1 * spread, origin[middle].shape),
    }
    for what, x in replaced.items():
        made = written(
            family, f"{parent}_{of}_one_{what}", {**origin, middle: x.astype(np.float32)}
        )
        yield family.case(f"one tensor of a {of} changed", made, [parent], *right)
    for units in (0.25, 1.0, 4.0):

        def noised(_: str, x: np.ndarray, units: float = units) -> np.ndarray:
            return x + units * ulp(x) * rng.standard_normal(x.shape, dtype=np.float32)

        made = written(family, f"{parent}_{of}_noise_{units}", each_matrix(origin, noised))
        yield family.case(f"stored {of}, noise of {units} ulp on top", made, [parent], *right)
    scaled = ("re-encoded", "assembled", "fine-tune") if of == "copy" else right
    for factor in (2.0, 1.1):

        def rescaled(name: str, x: np.ndarray, factor: float = factor) -> np.ndarray:
            by = factor if re.search(VALUES, name) else 1.0
            return x * np.float32(1 / factor if re.search(OUTPUTS, name) else by)

        made = written(family, f"{parent}_{of}_scaled_{factor}", each_matrix(origin, rescaled))
        yield family.case(f"{of} rescaled", made, [parent], *scaled)


def encoded(family: Family, parent: str, of: str, origin: Tensors) -> Iterator[Case]:
    """Yield children that were quantised and decoded."""
    right = ("re-encoded",) if of == "copy" else ("merge", "merge-then-changed", "re-encoded")
    for scheme in SCHEMES:

        def through(_: str, x: np.ndarray, scheme: str = scheme) -> np.ndarray:
            return quantised(x, scheme) if x.ndim == 2 else x

        made = written(family, f"{parent}_{of}_{scheme}", each_matrix(origin, through))
        yield family.case(f"{of}, quantised and decoded", made, [parent], *right)


def averaged(family: Family, parent: str, members: dict[str, Tensors]) -> Iterator[Case]:
    """Yield averages that were computed in bf16."""
    others = [each for each in members if each not in (family.base, parent)]
    several = [parent, *others]
    means: dict[str, Callable[[list[np.ndarray]], np.ndarray]] = {
        "running": running_mean,
        "sum": summed,
        "moving": lambda parts: moving(parts, 0.9),
    }
    for what, mean in means.items():
        base = members[family.base]
        child = {
            name: mean([x, *(members[each][name] for each in several)])
            if x.dtype == np.float32
            else x
            for name, x in base.items()
        }
        made = written(family, f"{parent}_averaged_{what}", child)
        yield family.case("averaged in bf16", made, several, "merge")


def framed(
    family: Family, parent: str, one: Tensors, base: Tensors, rng: np.random.Generator
) -> Iterator[Case]:
    """Yield fine-tunes with parents that were made from them, and with a stranger for a base."""
    child, start = family.path(parent), family.path(family.base)
    right = frozenset({"fine-tune", "related"})
    for times in (0.5, 1.25, 2.0):
        # Beyond the child, seen from the base, or half way to it.
        beyond = blended(one, base, times)
        made = written(family, f"{parent}_beyond_{times}", beyond)
        yield Case("framed", child, start, (made,), right)
    wide = {n: 2 * x - base[n] if x.dtype == np.float32 else x for n, x in one.items()}
    yield Case("framed", child, start, (save(wide, family.scratch / f"{parent}_wide"),), right)
    for share in (0.1, 1.0):

        def noised(name: str, x: np.ndarray, share: float = share) -> np.ndarray:
            size = np.float32(share * np.std(x - base[name]))
            return x + size * rng.standard_normal(x.shape, dtype=np.float32)

        made = written(family, f"{parent}_as_parent_{share}", each_matrix(one, noised))
        yield Case("framed", child, start, (made,), right)
    for stranger in family.roots[1:]:
        if {n: x.shape for n, x in load(family.path(stranger)).items()} == {
            n: x.shape for n, x in base.items()
        }:
            foreign = family.path(stranger)
            siblings = [family.path(each) for each in family.first if each != parent][:1]
            kin = frozenset({"related", "unrelated"})
            yield Case("stranger as base", child, foreign, tuple(siblings), kin)
            yield Case("stranger as base", child, foreign, (start,), right)


def ancestors(family: Family, parent: str) -> Iterator[Case]:
    """Yield ancestors as children, and siblings as bases."""
    right = frozenset({"related"})
    siblings = [family.path(each) for each in family.first if each != parent][:1]
    base, one = family.path(family.base), family.path(parent)
    yield Case("ancestor for child", base, one, (), right)
    yield Case("ancestor for child", base, one, tuple(siblings), right)
    for sibling in siblings:
        yield Case("sibling as base", one, sibling, (), right)
