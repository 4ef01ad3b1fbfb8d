"""Facts about a merge, a changed one and a fine-tune that are beyond doubt."""

from dataclasses import replace

from parentage.descent import BothWays
from parentage.verdict import Facts, ReplayFacts, Structure, Whole, Wholes, decide

FORWARD = BothWays(
    60_000,
    1.0,
    {"base": 0.4, "parent": 0.6},
    {"base": 0, "parent": 0},
    {"base": 2.5, "parent": 5 / 3},
    30_000,
    1.0,
)
"""A blend of which the child was made, and nothing of it from the child."""
UNDECIDED = replace(FORWARD, back={"base": 1.0, "parent": 1.0})
"""A blend that is as good turned round."""

MERGE = Facts(
    child="child",
    base="base",
    elements=1_000_000,
    extent=1_000_000,
    coverage=1.0,
    finite=1.0,
    crossed=dict,
    equal={"base": 100, "parent": 200},
    weights={"parent": 0.6},
    log10_p={"parent": -10.0},
    condition=1.0,
    r2=0.99,
    r2_slices=0.99,
    residual_floors=1.0,
    residual_floors_slices=1.0,
    distance_floors={"base": 20.0, "parent": 15.0},
    likeness={"base": 0.99, "parent": 0.99},
    origin="base",
    origin_r2=0.99,
    strange_share=0.0,
    slices=20,
    unmoved=10_000,
    stray=0,
    bias={"parent": 0.001},
    both_ways=FORWARD,
)
"""A merge that is beyond doubt."""
LINE = replace(MERGE, residual_floors=5.0, residual_floors_slices=5.0, r2=0.95, origin_r2=0.95)
"""A child on the line from base to parent, with something on top that hides how it was made."""
TUNED = replace(
    MERGE,
    r2=0.1,
    r2_slices=0.2,
    origin_r2=0.1,
    residual_floors=20.0,
    residual_floors_slices=20.0,
    stray=9_000,
    weights={"parent": 0.1},
    angle=lambda *_: 0.1,
    structure=lambda: Structure(6, 60.0, 0.1),
)
"""A fine-tune of the base, a sibling of the parent."""
REPLAYED = replace(
    MERGE,
    replay=ReplayFacts(
        kind="merge",
        text="linear of 0.6 parent + 0.4 base, in float32",
        equivalents=(),
        elements=1_000_000,
        coverage=1.0,
        mismatched=0,
        explained=0,
        decoy_share=0.1,
        weights={"parent": 0.6, "base": 0.4},
    ),
)
"""A merge whose recipe gives every bit."""
BELOW, ABOVE = 1 - 1e-9, 1 + 1e-9


def kind(evidence, **changes):
    return decide(replace(evidence, **changes)).kind


def rule(evidence, **changes):
    return decide(replace(evidence, **changes)).rule


def whole(name="parent", same=1_000_000, cast=0, elements=1_000_000, held=None, **more):
    """Return what the child and a checkpoint share: all, unless something else is said."""
    held = elements if held is None else held
    more = {"compared": 1_000_000, "tensors": 20, "shared_tensors": 20} | more
    return Whole(name=name, elements=elements, held=held, same=same, cast=cast, **more)


def wholes(*each, child=1_000_000, compared=1_000_000, candidates=None, **more):
    """Return those of several checkpoints, of which all but ``control`` are candidates."""
    names = tuple(one.name for one in each if one.name != "control")
    by_name = {one.name: one for one in each}
    chosen = names if candidates is None else candidates
    return Wholes(child, compared, by_name=by_name, candidates=chosen, unsourced=1, **more)
