"""Adapters seen as the checkpoint that they make of a base: its weights, with products added.

What is added is computed while it is read, and all that comes after takes such a view as it takes
any checkpoint.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from parentage.checkpoint import Coding, Joined, Tensor, checked, decoded, misfit
from parentage.support import CheckpointError, collection_paused, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from parentage.checkpoint import Adapter, Checkpoint, Module, Said

DEPTH = 6
"""Parts of a name, at most, that stand before the name that a module has in the base."""

LEAST = 2
"""Modules, at least, before which the same stands, unless there is one alone."""

SHOWN = 3
"""Names that a remark tells, at most."""

PROCESSOR = "processor_"
"""What diffusers once put before names of modules that processors of attention adapt."""


@dataclass(frozen=True)
class Applied:
    """An adapter, seen as what it makes of a base."""

    view: Checkpoint
    """The base's tensors by the base's names, with what the adapter adds; the adapter's name."""
    adapter: Adapter
    base: str
    """The name of the base."""
    modules: Mapping[str, Module]
    """Which module is added to a tensor of the view, by name."""
    absent: tuple[str, ...] = ()
    """Modules and tensors of the adapter that the base has no place for."""

    def remarks(self, strength: str) -> tuple[str, ...]:
        """Return sentences on what is compared, where it is added as strongly as the text says."""
        name = self.adapter.checkpoint.name
        said = [
            f"{name} is an adapter ({self.adapter}): it is compared as {self.base} plus its "
            f"product times {strength}."
        ]
        if self.absent:
            shown = [*self.absent[:SHOWN], *(["others"] if len(self.absent) > SHOWN else [])]
            said.append(
                f"{len(self.absent):,} of its modules and tensors {self.base} has no place for, "
                f"and they are not compared: {listed(shown)}."
            )
        return tuple(map(printable, said))


def applied(adapter: Adapter, base: Checkpoint) -> Applied:
    """Return an adapter as the checkpoint that it makes of ``base``.

    The scale is what is said of it, or 1 where nothing is.

    Raises
    ------
    CheckpointError
        If it is no product of two factors, if the factors do not fit each other or the base's
        tensors, or if the base has none of its modules. It names file, tensor and offset.
    """
    with collection_paused():
        base = decoded(base)
        own = adapter.checkpoint
        modules = list(checked(adapter))
        names = module_names([each.name for each in modules], list(base.tensors))
        if not names:
            raise CheckpointError(
                printable(
                    f"{own.where}: {own.name} is an adapter ({adapter}), and none of its modules "
                    f"is in {base.name}: {modules[0].name} here, "
                    f"{next(iter(base.tensors), 'nothing')} there"
                )
            )
        joined = Joined(own, base)
        added = {names[each.name]: each for each in modules if each.name in names}
        whole, absent = _whole(adapter, base, names)
        tensors: list[Tensor] = []
        codings: list[Coding] = []
        said = adapter.said
        for tensor in base.tensors.values():
            module = added.get(tensor.name)
            if tensor.name in whole:
                tensors.append(whole[tensor.name]._replace(name=tensor.name))
                continue
            origin = joined.of_second(tensor)
            if module is None:
                tensors.append(origin)
                continue
            place = joined.places + len(codings)
            codings += _codings(joined, module, origin, place, said)
            place = joined.places + len(codings) - 1
            size = 4 * tensor.elements
            tensors.append(Tensor(0, tensor.name, "F32", tensor.shape, place, 0, size))
        view = joined.view(tensors, codings)
        missing = [each.name for each in modules if each.name not in names]
        return Applied(view, adapter, base.name, added, (*missing, *absent))


def _whole(
    adapter: Adapter, base: Checkpoint, names: Mapping[str, str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return tensors of an adapter that take the place of the base's, by name there, and the rest.

    PEFT writes what was trained in whole beside the factors.
    """
    starts = Counter(
        (module[: len(module) - len(end)], there[: len(there) - len(end)])
        for module, name in names.items()
        for there in [name.removesuffix(".weight")]
        for end in [_common_end(module, there)]
    )
    out: dict[str, Tensor] = {}
    absent = []
    for tensor in adapter.plain:
        name = tensor.name.replace(".modules_to_save.", ".").replace("modules_to_save.", "")
        for here, there in starts:
            mate = base.tensors.get(there + name[len(here) :]) if name.startswith(here) else None
            if mate is not None and mate.shape == tensor.shape and mate.name not in out:
                out[mate.name] = tensor
                break
        else:
            absent.append(tensor.name)
    return out, absent


def _common_end(one: str, other: str) -> str:
    """Return what two names end in, whole parts of it.

    >>> _common_end("base_model.model.a.b", "model.a.b"), _common_end("x.a", "y.b")
    ('model.a.b', '')
    """
    mine, theirs = one.split("."), other.split(".")
    count = 0
    while count < min(len(mine), len(theirs)) and mine[-1 - count] == theirs[-1 - count]:
        count += 1
    return ".".join(mine[len(mine) - count :])


def _codings(
    joined: Joined,
    module: Module,
    origin: Tensor,
    place: int,
    said: Said,
) -> list[Coding]:
    """Return what computes a weight with a module's product added; the last coding is it.

    ``place`` is that of the first coding.
    """
    own = joined.first
    left, right = (joined.of_first(each).window for each in (module.left, module.right))
    rows, columns = module.size
    size = origin.shape[0] if origin.shape else 1, prod(origin.shape[1:])
    fits, fits_turned = size == (rows, columns), size == (columns, rows)
    is_turned = fits_turned and (module.is_turned or said.is_turned or not fits)
    if not (fits or is_turned) or (fits and len(module.right.shape) == len(origin.shape) > 2 and (
        module.right.shape[1:] != origin.shape[1:]
    )):  # fmt: skip
        raise misfit(
            own,
            module.left,
            f"its product with {module.right.name} has shape {[rows, columns]}, and "
            f"{origin.name} of the base {list(origin.shape)}",
        )
    if origin.dtype not in ("F32", "BF16", "F16"):
        raise misfit(own, module.left, f"{origin.name} of the base is {origin.dtype}, not added to")
    magnitudes = module.magnitudes
    if magnitudes is not None and (magnitudes.elements != size[0] or is_turned):
        raise misfit(
            own,
            magnitudes,
            f"{magnitudes.elements} magnitudes are not of the rows of {origin.name}",
        )
    rank = module.rank
    turned: list[Coding] = []
    if is_turned:
        # W + (B A)' = W + A' B'.
        turned = [
            Coding.strided(right, (columns, rank), (1, columns)),
            Coding.strided(left, (rank, rows), (1, rank)),
        ]
        at = (right, left)
        left, right = (
            each._replace(shard=place + k, begin=0, end=each.end - each.begin)
            for k, each in enumerate(at)
        )
    scale = said.scale_of(module)
    product = Coding.low_rank(
        left, right, size, rank, scale=1.0 if scale is None else scale, origin=origin.window,
        magnitudes=None if magnitudes is None else joined.of_first(magnitudes).window,
    )  # fmt: skip
    return [*turned, product]


def module_names(modules: Sequence[str], there: Iterable[str]) -> dict[str, str]:
    """Return which tensor of a base each module is added to, by the module's name.

    Nothing is looked up in a table. Dots and underscores are one, as kohya's names have it; what
    stands before a name may be anything, but the more names stand behind the same, the earlier it
    is believed. What may be two is none.

    >>> module_names(["base_model.model.a.q"], ["a.q.weight", "a.k.weight"])
    {'base_model.model.a.q': 'a.q.weight'}
    >>> module_names(["lora_unet_a_to_q", "lora_unet_a_to_k"], ["a.to_q.weight", "a.to_k.weight"])
    {'lora_unet_a_to_q': 'a.to_q.weight', 'lora_unet_a_to_k': 'a.to_k.weight'}
    """
    plain: dict[str, list[str]] = defaultdict(list)
    for name in there:
        plain[_flat(name.removesuffix(".weight"))].append(name)
    flat = {name: _flat(name).replace(PROCESSOR, "") for name in modules}
    ends: dict[str, list[str]] = defaultdict(list)
    for name in plain:
        for end in _ends(name):
            ends[end].append(name)
    votes: Counter[tuple[str, str]] = Counter()
    for module in flat.values():
        for end in _ends(module):
            others = ends.get(end) or ends.get(f"{end}_0") or ()
            for other in others:
                whole = end if other.endswith(end) else f"{end}_0"
                before = module[: len(module) - len(end)], other[: len(other) - len(whole)]
                # What has the number of a layer in it stands before one layer's names.
                if not any(part.isdigit() for each in before for part in each.split("_")):
                    votes[before] += 1
            if others:
                break
    if len(modules) >= LEAST:
        votes = Counter({before: count for before, count in votes.items() if count >= LEAST})
    found: dict[str, str] = {}
    taken: set[str] = set()
    for group in _in_order(votes):
        claims: dict[str, list[str]] = defaultdict(list)
        for module, name in flat.items():
            if module in found:
                continue
            targets = {
                other
                for mine, theirs in group
                if name.startswith(mine)
                for flat_there in (theirs + name[len(mine) :], f"{theirs}{name[len(mine) :]}_0")
                for other in plain.get(flat_there, ())
                if other not in taken
            }
            if len(targets) == 1:
                claims[targets.pop()].append(module)
        for other, who in claims.items():
            if len(who) == 1:
                found[who[0]] = other
                taken.add(other)
    return {module: found[module] for module in modules if module in found}


def _in_order(votes: Counter[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Return what stands before names, that of most votes first, that of as many together."""
    groups: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for before, count in votes.items():
        groups[count].append(before)
    return [groups[count] for count in sorted(groups, reverse=True)]


def _flat(name: str) -> str:
    """Return a name with underscores for dots."""
    return name.replace(".", "_")


def _ends(name: str) -> list[str]:
    """Return how a name may end, without what stands before, the longest first.

    >>> _ends("lora_unet_a_q")
    ['lora_unet_a_q', 'unet_a_q', 'a_q', 'q']
    """
    parts = name.split("_")
    return ["_".join(parts[k:]) for k in range(min(DEPTH, len(parts)))]


def products(adapter: Adapter, names: Mapping[str, str]) -> Checkpoint:
    """Return an adapter's products, without anything that they are added to.

    ``names`` say what the product of each module is called.

    Raises
    ------
    CheckpointError
        If two factors do not fit each other.
    """
    own, said = adapter.checkpoint, adapter.said
    tensors, codings = [], []
    for module in checked(adapter):
        if module.name not in names:
            continue
        scale = said.scale_of(module)
        shape = module.size
        codings.append(
            Coding.low_rank(
                module.left.window, module.right.window, shape, module.rank,
                scale=1.0 if scale is None else scale,
            )
        )  # fmt: skip
        place = own.places + len(codings) - 1
        tensors.append(Tensor(0, names[module.name], "F32", shape, place, 0, 4 * prod(shape)))
    return own.seen_as(tensors, codings)
