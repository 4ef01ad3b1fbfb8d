"""Layers that pair by content: a few elements are looked at before names are believed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align.groups import group
from parentage.align.layouts.by_name import is_readable
from parentage.align.orders.matching import LEAST_LIKE
from parentage.align.sums import layers_by_sums
from parentage.checkpoint import body_layers, is_of_the_body, places_of
from parentage.stream import likeness, one_pass, unpack
from parentage.support import spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.align.groups import Grouped
    from parentage.align.layouts.by_layer import LayerMap
    from parentage.checkpoint import Checkpoint, Inputs, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

    Kind = tuple[str, tuple[int, ...]]
    Kinds = dict[Kind, dict[int, Tensor]]

FAR_PLACES = 6
"""Matrices that are looked at, at most, of checkpoints that are fetched."""

ELEMENTS = 1 << 14
"""Elements compared of each pair of tensors."""

LEAST_ELEMENTS = 1 << 12
"""Elements from which on a tensor is large enough for its cosine to mean something."""

LAYERS = 128
"""Layers of each checkpoint that are tried."""

KINDS = 3
"""Kinds of matrix that are looked at of each layer: one that was exchanged alone moves no layer."""

SHAPES, OF_A_SHAPE = 6, 24
"""Shapes of which tensors are compared with one another, and tensors of each, at most."""

TIE = 1e-6
"""Difference of cosines up to which layers of a checkpoint are equally like a child's."""


def crossed_likeness(child: Checkpoint, other: Checkpoint, options: Options) -> float | None:
    """Return the largest |cosine| between a layer of ``child`` and *any* layer of ``other``.

    It tells layers that were moved from layers that are strange. Names tell not all that may be
    moved, so that any matrices or kernels of one shape are compared as well, but of checkpoints
    that are fetched. ``None`` if nothing was.
    """
    crossed = crossed_layers(child, other, options)
    found = [] if crossed is None else [crossed[2].ravel()]
    if not options.is_far:
        found.append(_crossed_tensors(child, other, options))
    cosines = np.concatenate([np.zeros(0), *found])
    known = np.abs(cosines[np.isfinite(cosines)])
    return float(known.max()) if known.size else None


def _crossed_tensors(child: Checkpoint, other: Checkpoint, options: Options) -> Floats:
    """Return (P,) cosines of any two tensors of one shape, some of each of the commonest shapes.

    What is alike in place is no sign of a move: those tensors are left out, constants among them.
    """
    mine, theirs = _by_shape(child), _by_shape(other)
    shared = sorted(mine.keys() & theirs.keys(), key=lambda each: (-len(mine[each]), each))
    pairs = []
    for each in shared[:SHAPES]:
        # Names of both first, the same of both: what is alike in place is seen to be.
        both = {a.name for a in mine[each]} & {b.name for b in theirs[each]}
        in_both = set(spread(sorted(both), OF_A_SHAPE))
        some = [
            [tensor for tensor in side[each] if tensor.name in in_both]
            or spread(side[each], OF_A_SHAPE)
            for side in (mine, theirs)
        ]
        pairs += [(a, b) for a in some[0] for b in some[1]]
    if not pairs:
        return np.zeros(0)
    cosines = _cosines(child, other, pairs, options)
    in_place = np.array([a.name == b.name for a, b in pairs])
    alike = in_place & ~(np.abs(cosines) < LEAST_LIKE)
    kept = {a.name for (a, _), is_alike in zip(pairs, alike.tolist(), strict=True) if is_alike}
    moved = np.array([not ({a.name, b.name} & kept) for a, b in pairs])
    found: Floats = cosines[moved & ~in_place]
    return found


def _by_shape(checkpoint: Checkpoint) -> dict[tuple[int, ...], list[Tensor]]:
    """Return matrices and kernels that are large enough, but for embeddings, by shape."""
    found: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
    placed = zip(checkpoint.tensors.values(), places_of(checkpoint.core), strict=True)
    for tensor, (component, _, _) in placed:
        is_large = tensor.elements >= LEAST_ELEMENTS and sum(x > 1 for x in tensor.shape) > 1
        if is_large and component not in ("embed", "head") and is_readable(tensor, checkpoint):
            found[tensor.shape].append(tensor)
    return found


def crossed_layers(
    child: Checkpoint,
    other: Checkpoint,
    options: Options,
    matrices: tuple[Kinds, Kinds] | None = None,
) -> tuple[list[int], list[int], Floats] | None:
    """Return layers of both, and the cosine between any two of them, (child's, other's).

    Only the first elements of some matrices per layer are read, the smallest that are large enough.
    The cosine is the mean of theirs, NaN where two layers have no kind of matrix in common; all is
    ``None`` if no two have.
    """
    kinds, theirs = matrices or (_matrices(child), _matrices(other))
    chosen = _chosen(kinds, theirs)
    if not chosen:
        return None
    mine = sorted({layer for kind in chosen for layer in kinds[kind]})[:LAYERS]
    yours = sorted({layer for kind in chosen for layer in theirs[kind]})[:LAYERS]
    pairs = [
        (kind, a, b)
        for kind in chosen
        for a in mine
        if a in kinds[kind]
        for b in yours
        if b in theirs[kind]
    ]
    cosines = _cosines(child, other, [(kinds[k][a], theirs[k][b]) for k, a, b in pairs], options)
    total = np.zeros((len(mine), len(yours)))
    count = np.zeros((len(mine), len(yours)))
    rows, columns = ({layer: i for i, layer in enumerate(each)} for each in (mine, yours))
    for (_, a, b), cosine in zip(pairs, cosines.tolist(), strict=True):
        if np.isfinite(cosine):
            total[rows[a], columns[b]] += cosine
            count[rows[a], columns[b]] += 1
    with np.errstate(invalid="ignore"):
        return mine, yours, total / count


def strange_layers(
    child: Checkpoint,
    other: Checkpoint,
    options: Options,
    matrices: tuple[Kinds, Kinds] | None = None,
) -> bool:
    """Return whether some layer of the child is no relative of the other's of the same number."""
    kinds, theirs = matrices or (_matrices(child), _matrices(other))
    chosen = _chosen(kinds, theirs)
    places = [(kind, a) for kind in chosen for a in kinds[kind] if a in theirs[kind]]
    if {a for _, a in places} < {a for kind in chosen for a in kinds[kind]}:
        return True  # a layer has matrices that only others of the other's have
    if not places:
        return False
    if options.is_far and len(places) > FAR_PLACES:
        # A request for each: some layers tell whether it is worth looking at all.
        places = places[:: -(-len(places) // FAR_PLACES)]
    cosines = _cosines(child, other, [(kinds[k][a], theirs[k][a]) for k, a in places], options)
    by_layer: dict[int, list[float]] = defaultdict(list)
    for (_, a), cosine in zip(places, np.nan_to_num(cosines).tolist(), strict=True):
        by_layer[a].append(cosine)
    return any(sum(each) / len(each) < LEAST_LIKE for each in by_layer.values())


def layer_map(child: Checkpoint, other: Checkpoint, options: Options) -> dict[int, int | None]:
    """Return the other's layer that each layer of the child is of, where it is not the same number.

    Empty if no layer was moved, or none can be told. Fine-tuning leaves layers so like their
    origin, and layers of one model so unlike each other, that the largest cosine tells; of several
    that are equally like, the layer of the same number counts, and then the one that follows what
    the layer before is of. A layer that none is like keeps its number if both checkpoints have the
    same layers and no other layer is of that one; else it is paired with none.
    """
    mine, yours = body_layers(child.core), body_layers(other.core)
    matrices = _matrices(child), _matrices(other)
    if mine <= yours and not strange_layers(child, other, options, matrices):
        return {}
    crossed = crossed_layers(child, other, options, matrices)
    if crossed is None:
        return {}
    known: dict[int, int] = {}
    for layer, row in zip(crossed[0], crossed[2], strict=True):
        best = float(np.nanmax(row, initial=-1.0))
        if best >= LEAST_LIKE:
            alike = [b for b, x in zip(crossed[1], row.tolist(), strict=True) if x >= best - TIE]
            following = known.get(layer - 1, -2) + 1
            known[layer] = next((b for b in (layer, following) if b in alike), alike[0])
    known |= layers_by_sums(*matrices, (child, other), known, options)
    if not known:
        return {}
    taken = set(known.values())
    found: dict[int, int | None] = {}
    for layer in sorted(mine):
        source: int | None = known.get(layer)
        if source is None and mine == yours and layer not in taken:
            source = layer
        if source != layer:
            found[layer] = source
    return found


def _matrices(checkpoint: Checkpoint) -> Kinds:
    """Return matrices of layers, by name without the layer, and shape, and then by layer.

    Those of experts are left out.
    """
    kinds: dict[Kind, dict[int, Tensor]] = defaultdict(dict)
    placed = zip(checkpoint.tensors.values(), places_of(checkpoint.core), strict=True)
    for tensor, (component, layer, expert) in placed:
        # Experts change places within a layer, and there are many of them.
        if expert is not None or len(tensor.shape) != 2 or tensor.elements < LEAST_ELEMENTS:
            continue
        in_body = layer is not None and is_of_the_body(component)
        if layer is not None and in_body and is_readable(tensor, checkpoint):
            name = tensor.name.replace(f".{layer}.", ".*.", 1)
            kinds[name, tensor.shape][layer] = tensor
    return kinds


def _chosen(
    kinds: dict[Kind, dict[int, Tensor]], theirs: dict[Kind, dict[int, Tensor]]
) -> list[Kind]:
    """Return the kinds of matrix that are looked at: the smallest, and what other layers have."""
    shared = [kind for kind in kinds if kind in theirs]
    shared.sort(key=lambda kind: int(np.prod(kind[1])))
    chosen: list[Kind] = []
    seen: dict[int, int] = defaultdict(int)
    for kind in shared:
        if any(seen[layer] < KINDS for layer in kinds[kind]):
            chosen.append(kind)
            for layer in kinds[kind]:
                seen[layer] += 1
    return chosen


def _cosines(
    child: Checkpoint, other: Checkpoint, pairs: Sequence[tuple[Tensor, Tensor]], options: Options
) -> Floats:
    """Return (P,) cosines of the first elements of P pairs of tensors, the child's first."""
    tensors = np.array([(b.index, a.index) for a, b in pairs], dtype=np.uint64)
    elements = np.array([min(a.elements, ELEMENTS) for a, _ in pairs], dtype=np.uint64)
    plan = _core.Plan([other.core, child.core], elements, tensors, np.zeros_like(tensors))
    found = one_pass(plan, 0, plan.slices, options.for_runs())
    cosine: Floats = likeness(unpack(found.gram).sum(axis=1))[:, 0]
    return cosine


def pair(inputs: Inputs, options: Options, layers: Sequence[LayerMap] | None = None) -> Grouped:
    """Group by name, and by content where the layers of the child are not those of the others.

    ``layers`` are what :func:`layer_map` says of each of the others, if that is known.
    """
    child, others = inputs.child, inputs.others
    if layers is None:
        layers = [layer_map(child, other, options) for other in others]
    return group(child, others, inputs.candidates, layers if any(layers) else ())
