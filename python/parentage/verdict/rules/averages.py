"""Children that are copies but for layers that are averages of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.checkpoint import layer_of
from parentage.support import listed
from parentage.verdict.rules.wording import coverage_clause, moves_text, reading_verb
from parentage.verdict.verdict import Verdict

if TYPE_CHECKING:
    from parentage.align import LayerBlend
    from parentage.verdict.facts import Facts


def averaged(facts: Facts) -> Verdict | None:
    """All slices are one checkpoint's, but for layers that are each a blend of two of its own."""
    for name in (facts.base, *facts.weights):
        shared = facts.shared.get(name)
        if shared is None or not shared.slices or not shared.others:
            continue
        layers = {layer_of(each) for each in shared.others}
        known = frozenset(layer for layer in layers if layer is not None)
        if len(known) < len(layers):
            continue
        blends = facts.blends_of_layers(name, known)
        if {each.layer for each in blends} == known:
            return _verdict(facts, name, blends)
    return None


def _verdict(facts: Facts, name: str, blends: tuple[LayerBlend, ...]) -> Verdict:
    """Return the verdict on a child whose other slices are all those of one checkpoint."""
    shared = facts.shared[name]
    share = shared.elements / facts.elements
    said = listed(
        f"layer {each.layer} is "
        + listed(f"{weight:.4g} of {name}'s layer {source}" for source, weight in each.parts)
        for each in blends
    )
    moved = moves_text(facts, frozenset(each.layer for each in blends))
    elements = sum(each.elements for each in blends)
    return Verdict(
        "assembled",
        "statistical",
        "averaged",
        f"{shared.slices:,} of {facts.slices:,} slices, {share:.1%} of the elements "
        f"{reading_verb(facts)}, are {name}'s bit for bit; of the rest, {said}, within the "
        f"rounding of the child's dtype, in {elements:,} elements looked at."
        f"{f' {moved}' if moved else ''}{coverage_clause(facts)}",
        {
            "parent": name,
            "equal_slices": shared.slices,
            "slices": facts.slices,
            "equal_share": share,
            "averaged_layers": len(blends),
        },
    )
