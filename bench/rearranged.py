"""Puts real checkpoints into another order, and asks what they are and of what order.

    python bench/rearranged.py FOLDER [--dense base ft_code] [--mixture base_moe ft_moe_a]
                               [--stranger base2] [--only WORD] [-o TABLE]

FOLDER holds a dense model and a mixture of experts, each with a fine-tune, and a stranger to the
dense one. Each way of rearranging is done to the fine-tune, and to the merge of 0.6 of it with 0.4
of its base, in float32, rounded once. For each, this

1. traces it, prints the verdict, and compares the orders in the evidence with what was done;
2. carries the recipe of the merge out again, and asserts that it gives every element.

It ends with 1 if an order was not recovered, a merge not found, or a stranger taken for kin.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import parentage
from parentage.support import number_ranges
from safetensors import safe_open
from safetensors.numpy import save_file

BF16, F32 = ml_dtypes.bfloat16, np.float32
EMBED = "model.embed_tokens.weight"
MLP = ("gate_proj", "up_proj", "down_proj")
Tensors = dict[str, Any]
Truth = dict[tuple[str, int | None], set[tuple[Any, ...]]]
"""By kind and layer, the orders that things are in."""


@dataclass
class Way:
    """How a checkpoint is rearranged, and what should be said of it."""

    name: str
    change: Callable[[Tensors], Tensors]
    truth: Truth = field(default_factory=dict)
    layers: tuple[int, ...] | None = None
    """Layers that the child's are, if they moved."""


def loaded(folder: Path) -> Tensors:
    """Return the tensors of a checkpoint."""
    out: Tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            out |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return out


def saved(folder: Path, tensors: Tensors) -> Path:
    """Write a checkpoint."""
    folder.mkdir(parents=True)
    save_file(
        {n: np.ascontiguousarray(x) for n, x in tensors.items()}, folder / "model.safetensors"
    )
    return folder


def merged(one: Tensors, other: Tensors) -> Tensors:
    """Return 0.6 of one and 0.4 of another, in float32, rounded once."""
    return {
        name: (F32(0.6) * x.astype(F32) + F32(0.4) * other[name].astype(F32)).astype(BF16)
        for name, x in one.items()
    }


def layer_of(name: str) -> int | None:
    """Return the layer of a tensor."""
    return int(name.split(".")[2]) if ".layers." in name else None


def with_experts(x: Tensors, orders: Mapping[int, Sequence[int]]) -> Tensors:
    """Return a mixture with experts of these numbers, and its routers' rows."""
    out = {name: each for name, each in x.items() if ".experts." not in name}
    for name, each in x.items():
        order = orders.get(layer_of(name) or 0, ())
        parts = name.split(".")
        if ".experts." in name:
            out |= {
                ".".join([*parts[:5], str(new), *parts[6:]]): each
                for new, old in enumerate(order)
                if str(old) == parts[5]
            }
        elif ".mlp.gate." in name:
            out[name] = each[list(order)]
    return out


def stacked(x: Tensors) -> Tensors:
    """Return a mixture with its experts in one tensor each, gate and up fused."""
    out = {name: each for name, each in x.items() if ".experts." not in name}
    stems = {n.split(".experts.")[0] + ".experts" for n in x if ".experts." in n}
    for stem in sorted(stems):
        count = sum(n.startswith(f"{stem}.") and n.endswith("down_proj.weight") for n in x)
        gate, up, down = ([x[f"{stem}.{e}.{n}.weight"] for e in range(count)] for n in MLP)
        pairs = zip(gate, up, strict=True)
        out[f"{stem}.gate_up_proj"] = np.stack([np.concatenate(each) for each in pairs])
        out[f"{stem}.down_proj"] = np.stack(down)
    return out


def upcycled(x: Tensors, count: int = 4, noise: float = 0.0) -> Tensors:
    """Return a mixture whose experts are each the dense MLP, and a router of its own."""
    rng = np.random.default_rng(1)
    out = {name: each for name, each in x.items() if ".mlp." not in name}
    for name, each in x.items():
        for expert in range(count if ".mlp." in name else 0):
            wide = each.astype(F32)
            wide = wide + (noise * wide.std() * rng.standard_normal(wide.shape)).astype(F32)
            out[name.replace(".mlp.", f".mlp.experts.{expert}.")] = wide.astype(BF16)
    for layer in sorted({layer_of(name) for name in x} - {None}):
        router = 0.02 * rng.standard_normal((count, x[EMBED].shape[1]))
        out[f"model.layers.{layer}.mlp.gate.weight"] = router.astype(BF16)
    return out


def with_layers(x: Tensors, order: Sequence[int]) -> Tensors:
    """Return a model with layers of these numbers."""
    out = {name: each for name, each in x.items() if layer_of(name) is None}
    for new, old in enumerate(order):
        for name, each in x.items():
            if layer_of(name) == old:
                out[name.replace(f".layers.{old}.", f".layers.{new}.")] = each
    return out


def with_neurons(x: Tensors, orders: Mapping[int, Sequence[int]], scale: float = 1.0) -> Tensors:
    """Return a model with neurons of these numbers, every other one scaled, and down again."""
    out = dict(x)
    for layer, order in orders.items():
        at = f"model.layers.{layer}.mlp"
        factor = np.where(np.arange(len(order)) % 2, F32(scale), F32(1.0))
        out[f"{at}.gate_proj.weight"] = x[f"{at}.gate_proj.weight"][list(order)]
        up = x[f"{at}.up_proj.weight"][list(order)].astype(F32) * factor[:, None]
        down = x[f"{at}.down_proj.weight"][:, list(order)].astype(F32) / factor
        out[f"{at}.up_proj.weight"], out[f"{at}.down_proj.weight"] = (
            up.astype(BF16),
            down.astype(BF16),
        )
    return out


def with_heads(x: Tensors, keys: Sequence[int], queries: Sequence[int]) -> Tensors:
    """Return a model with heads of keys and of queries of these numbers, in all layers."""
    out = dict(x)
    for name in x:
        if not name.endswith("self_attn.o_proj.weight"):
            continue
        at, width = name.removesuffix(".o_proj.weight"), x[name].shape[1] // len(queries)
        narrow, wide = ([h * width + i for h in y for i in range(width)] for y in (keys, queries))
        for part, rows in (("q_proj", wide), ("k_proj", narrow), ("v_proj", narrow)):
            out[f"{at}.{part}.weight"] = x[f"{at}.{part}.weight"][rows]
        out[name] = x[name][:, wide]
    return out


def with_words(x: Tensors, order: Sequence[int]) -> Tensors:
    """Return a model with words of these numbers."""
    return {
        n: each[list(order)] if each.shape[0] == len(x[EMBED]) else each for n, each in x.items()
    }


def of_mixtures(x: Tensors) -> list[Way]:
    """Return what is done to mixtures of experts."""
    rng = np.random.default_rng(1)
    layers = sorted({layer_of(name) for name in x if ".experts." in name} - {None})
    count = 1 + max(int(name.split(".")[5]) for name in x if ".experts." in name)
    kept = count - count // 4
    permuted = {i: rng.permutation(count).tolist() for i in layers}
    pruned = {i: sorted(rng.permutation(count)[:kept].tolist()) for i in layers}
    some = {i: rng.permutation(count)[:kept].tolist() for i in layers}
    swapped = {i: list(range(count)) for i in layers}
    swapped[layers[1]][2], swapped[layers[1]][5] = 5, 2
    twice = {i: [3, 3, *(e for e in range(count - 1) if e != 3)] for i in layers}

    def truth(orders: Mapping[int, Sequence[int]]) -> Truth:
        plain = tuple(range(count))
        return {("experts", i): {tuple(x)} for i, x in orders.items() if tuple(x) != plain}

    def crossed(x: Tensors) -> Tensors:
        out = dict(x)
        for name in x:
            if (
                ".experts." in name
                and layer_of(name) in layers[1:3]
                and int(name.split(".")[5]) % 2
            ):
                a, b = layers[1:3] if layer_of(name) == layers[1] else layers[2:0:-1]
                out[name] = x[name.replace(f".layers.{a}.", f".layers.{b}.")]
        return out

    def over(layer: int) -> tuple[Any, ...]:
        return tuple(f"{e} of layer {layer}" if e % 2 else e for e in range(count))

    return [
        Way("experts permuted", lambda x: with_experts(x, permuted), truth(permuted)),
        Way(
            "experts permuted, stacked",
            lambda x: stacked(with_experts(x, permuted)),
            truth(permuted),
        ),
        Way("a quarter of the experts pruned", lambda x: with_experts(x, pruned), truth(pruned)),
        Way("a subset of experts, in any order", lambda x: with_experts(x, some), truth(some)),
        Way("two experts of one layer swapped", lambda x: with_experts(x, swapped), truth(swapped)),
        Way("one expert twice", lambda x: with_experts(x, twice), truth(twice)),
        Way(
            "experts exchanged between two layers",
            crossed,
            {
                ("experts", layers[1]): {over(layers[2])},
                ("experts", layers[2]): {over(layers[1])},
            },
        ),
    ]


def of_dense(x: Tensors, heads: tuple[int, int]) -> list[Way]:
    """Return what is done to dense models; ``heads`` are those of keys and of queries."""
    rng = np.random.default_rng(2)
    layers = sorted({layer_of(name) for name in x} - {None})
    inner, words = x["model.layers.0.mlp.up_proj.weight"].shape[0], x[EMBED].shape[0]
    neurons = {i: rng.permutation(inner).tolist() for i in layers}
    two = [*range(5), 6, 5, *range(7, inner)]
    group = heads[1] // heads[0]
    keys = list(range(heads[0]))[::-1]
    queries = [k * group + (i + 1) % group for k in keys for i in range(group)]
    added = [*range(words), *rng.integers(0, words, 64).tolist()]
    order = rng.permutation(words).tolist()
    cut = sorted(order[: 3 * words // 4])
    swapped = list(range(len(layers)))
    swapped[1], swapped[4] = 4, 1
    dropped = [i for i in layers if i not in (2, 3)]
    inside: Truth = {("neurons", i): {tuple(neurons[i])} for i in layers}
    moved: Truth = {("heads", i): {tuple(keys), tuple(queries)} for i in layers}
    copies: Truth = {("experts", i): {("mlp",) * 4} for i in layers}

    def both(x: Tensors) -> Tensors:
        return with_neurons(with_heads(x, keys, queries), neurons)

    return [
        Way("upcycled", upcycled, copies),
        Way("upcycled, stacked", lambda x: stacked(upcycled(x)), copies),
        Way("layers 1 and 4 swapped", lambda x: with_layers(x, swapped), layers=tuple(swapped)),
        Way("two layers dropped", lambda x: with_layers(x, dropped), layers=tuple(dropped)),
        Way(
            "64 words added, copies",
            lambda x: with_words(x, added),
            {("rows", None): {tuple(added)}},
        ),
        Way("words permuted", lambda x: with_words(x, order), {("rows", None): {tuple(order)}}),
        Way(
            "a quarter of the words cut",
            lambda x: with_words(x, cut),
            {("rows", None): {tuple(cut)}},
        ),
        Way("neurons permuted", lambda x: with_neurons(x, neurons), inside),
        Way(
            "two neurons swapped",
            lambda x: with_neurons(x, {2: two}),
            {("neurons", 2): {tuple(two)}},
        ),
        Way("heads permuted", lambda x: with_heads(x, keys, queries), moved),
        Way("neurons and heads permuted", both, inside | moved),
        Way(
            "neurons, heads, words, and layers 1 and 4 swapped",
            lambda x: with_layers(with_words(both(x), order), swapped),
            {
                **{("neurons", i): {tuple(neurons[swapped[i]])} for i in layers},
                **moved,
                ("rows", None): {tuple(order)},
            },
            tuple(swapped),
        ),
    ]


def orders_of(found: parentage.Trace, name: str) -> Truth:
    """Return the orders that the evidence tells of one checkpoint."""
    out: Truth = {}
    for each in found.evidence["coverage"]["orders"]:
        if each["checkpoint"] == name:
            out.setdefault((each["kind"], each["layer"]), set()).add(tuple(each["sources"]))
    return out


def is_recovered(found: parentage.Trace, way: Way, names: Sequence[str]) -> bool:
    """Return whether the evidence tells of each checkpoint what was done."""
    if way.layers is not None and number_ranges(way.layers) not in found.verdict.text:
        return False
    return all(orders_of(found, name) == way.truth for name in names)


class Table:
    """Rows of what was asked and said, printed as they come."""

    def __init__(self) -> None:
        """Begin with the head."""
        self.rows = ["| what | of | orders | verdict | |", "|---|---|---|---|---|"]
        self.wrong = 0

    def add(self, way: str, of: str, orders: str, found: parentage.Trace, right: bool) -> None:
        """Add a row."""
        text, verdict = found.verdict.text, found.verdict
        self.wrong += not right
        said = f"{verdict.kind} ({verdict.level}, {verdict.rule}): {text}"
        self.rows.append(f"| {way} | {of} | {orders} | {said} | {'right' if right else 'WRONG'} |")
        print(f"{'right' if right else 'WRONG'}: {way}, {of}: {orders}\n  {said}\n", flush=True)


def try_out(way: Way, base: Path, tuned: Path, work: Path, table: Table) -> None:
    """Do one thing to a fine-tune and to its merge, and ask."""
    names = (base.name, tuned.name)
    parts = loaded(base), loaded(tuned)
    slug = way.name.replace(" ", "-").replace(",", "")
    copy = saved(work / f"{slug}-copy", way.change(parts[1]))
    found = parentage.trace(copy, base=base, parents=[tuned])
    kept = is_recovered(found, way, names)
    right = kept and (found.verdict.kind, found.verdict.level) == ("assembled", "exact")
    table.add(way.name, "copy", "recovered" if kept else "NOT recovered", found, right)
    merge = saved(work / f"{slug}-merge", way.change(merged(parts[1], parts[0])))
    found = parentage.trace(merge, base=base, parents=[tuned])
    kept = is_recovered(found, way, names)
    right = kept and (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    said = "recovered" if kept else "NOT recovered"
    if found.recipe is not None:
        again = found.recipe.replay({base.name: base, tuned.name: tuned}, merge)
        right = right and again.mismatched == 0
        said += f"; replayed, {again.mismatched:,} of {again.elements:,} elements differ"
    table.add(way.name, "merge", said, found, right)


def try_attacks(dense: tuple[Path, Path], stranger: Path, work: Path, table: Table) -> None:
    """Ask of what is no copy: neurons scaled as well, and a stranger in the best order."""
    base, tuned = dense
    x = loaded(tuned)
    inner = x["model.layers.0.mlp.up_proj.weight"].shape[0]
    layers = sorted({layer_of(name) for name in x} - {None})
    orders = {i: np.random.default_rng(i).permutation(inner).tolist() for i in layers}
    for scale in (2.0, 1.3):
        child = saved(work / f"scaled-{scale}", with_neurons(x, orders, scale))
        found = parentage.trace(child, base=base, parents=[tuned])
        truth: Truth = {("neurons", i): {tuple(orders[i])} for i in layers}
        kept = orders_of(found, tuned.name) == truth
        right = kept and found.verdict.kind not in ("identical", "re-encoded", "unrelated", "merge")
        told = "recovered" if kept else "NOT recovered"
        table.add(f"neurons permuted, half scaled by {scale}", "copy", told, found, right)
    from scipy.optimize import linear_sum_assignment

    y, best = loaded(stranger), {}
    for i in layers:
        at = f"model.layers.{i}.mlp"
        mine, theirs = (
            np.concatenate(
                [*(z[f"{at}.{n}.weight"] for n in MLP[:2]), z[f"{at}.down_proj.weight"].T], axis=1
            ).astype(F32)
            for z in (x, y)
        )
        best[i] = linear_sum_assignment(-(mine @ theirs.T))[1].tolist()
    child = saved(work / "stranger", with_neurons(y, best))
    found = parentage.trace(child, base=base, parents=[tuned])
    right = found.verdict.kind in ("unrelated", "undetermined")
    right = right and not found.evidence["coverage"]["orders"]
    table.add("a stranger's neurons in the order that fits best", "stranger", "none", found, right)


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dense", nargs=2, default=["base", "ft_code"])
    parser.add_argument("--mixture", nargs=2, default=["base_moe", "ft_moe_a"])
    parser.add_argument("--heads", nargs=2, type=int, default=[2, 4], help="of keys, of queries")
    parser.add_argument("--stranger", default="base2")
    parser.add_argument("--only", default="")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    dense = tuple(given.folder / name for name in given.dense)
    mixture = tuple(given.folder / name for name in given.mixture)
    ways = [(way, mixture) for way in of_mixtures(loaded(mixture[0]))]
    ways += [(way, dense) for way in of_dense(loaded(dense[0]), tuple(given.heads))]
    table = Table()
    with tempfile.TemporaryDirectory() as work:
        for way, (base, tuned) in ways:
            if given.only in way.name:
                try_out(way, base, tuned, Path(work), table)
        if not given.only:
            try_attacks(dense, given.folder / given.stranger, Path(work), table)
    if given.output:
        given.output.write_text("\n".join(table.rows) + "\n", "utf-8")
    print(f"{len(table.rows) - 2} asked, {table.wrong} wrong")
    return int(table.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
