"""Every threshold, with the figures it comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the rules compare with, and why.

    Residuals are in units of the *floor*, the root mean square rounding error of the child's dtype.
    Measured on merges and fine-tunes of three families of small models.
    """

    explained: float = 0.90
    """Least R2 of a blend. Siblings reach 0.19, a grandchild against its parent 0.85, the worst
    merge of displacements near one unit in the last place 0.93."""
    merge_residual: float = 1.10
    """Most residual of a merge rounded once: measured 0.95 to 1.004."""
    changed_residual: float = 2.50
    """Least residual that arithmetic does not account for: merges computed in bf16 reach 1.9."""
    reproduced: float = 0.999
    """Least share of elements that the recipe of a merge reproduces or explains. Methods whose
    angles are sums over a tensor are known to a few units in the last place and reach 0.9995; half
    a unit of noise leaves 0.61."""
    of_somebody: float = 0.999
    """Least share of elements that some checkpoint has, for a recipe that chooses among them to say
    no more than that: DARE divides what it keeps by its density, and has a quarter to a half."""
    chosen: float = 0.1
    """Least share of elements that are some parent's and not the base's, for a recipe that chooses
    to be no blend: DARE has next to none."""
    decoy: float = 0.02
    """Most that a recipe may leave, as a share of what decoys leave. Where displacements are tiny,
    anything reproduces nearly everything."""
    decisive: float = 100.0
    """Least elements that decoys must miss for a recipe to be told from them."""
    cells: float = 0.90
    """Least share of elements that a blend must reproduce in float32 to leave no room."""
    least_whole_share: float = 0.10
    """Least share of the elements in slices that a recipe gives all of, of a merge that was changed
    in other slices: embeddings alone are as much. A recipe that is wrong gives all of none that
    decoys miss."""
    least_changed_share: float = 0.05
    """Least share of elements that a recipe does not give of the slices that were changed, where it
    gives others whole in float32: weights of their own would have shown in their cells."""
    partial: float = 0.30
    """Least share of what decoys leave that a recipe reproduces of a merge that was changed."""
    near: float = 1.50
    """A child within so many floors of one checkpoint differs from it by no more than rounding."""
    stray_share: float = 1e-3
    """Most elements that a merge changes where no parent differs from the base."""
    stray_elements: int = 1000
    """Least elements without a moved parent for their share to count."""
    own_direction: float = 0.30
    """Most R2, seen from its origin, of a fine-tune in a direction of its own. The largest seen is
    0.24; blends that sparsify (DARE) start at 0.38."""
    own_where_moved: float = 0.50
    """Most R2 of the same over the elements that differ: siblings reach 0.36 there; blends whose
    weight is so small that rounding leaves most elements as they were, 0.9."""
    structure: float = 8.0
    """Least standard deviations by which rows of a difference agree in sign, beyond independent
    signs, to be training's: noise and what quantising leaves reach 3, trainings 60 to 6000, and
    fewer where rounding leaves one element in a hundred of them."""
    no_structure: float = 4.0
    """Most of them, in size, of what is said to have no structure."""
    origin: float = 0.50
    """Most squared distance from a parent, as a share of that from the base, for the parent to be
    an origin: a grandchild keeps 0.20 of it; a sibling that drifted far, 0.88."""
    strange_share: float = 0.01
    """Most share of the child in matrices that are no relatives of those of its origin."""
    related: float = 0.50
    """Least cosine of the weights themselves for a relative: continued training keeps 0.95."""
    unrelated: float = 0.10
    """Most cosine of the weights themselves of a stranger, over matrices: measured 0.00."""
    kept: float = 0.50
    """Least share of the values that one checkpoint alone has, for a child that kept them to be
    told from a blend: blends keep 0.00 of anybody's, but 0.38 of one that weighs 0.97."""
    kept_by_others: float = 0.05
    """Most share of any other checkpoint's: siblings have 0.03 of each other's by chance."""
    alone: float = 0.01
    """Least share of the elements in slices that are one checkpoint's alone for it to be named."""
    far: float = 0.55
    """Least share that a blend gives where its checkpoints lie eight units apart, for it to be said
    where it does not give all: merges that were changed 0.59 and more, checkpoints of one run 0.51
    at most; sign steps at half the rate give 0.91, and can not be told."""
    far_of_all: float = 0.70
    """Least share that it gives there, of what it gives everywhere: changed merges 0.73 to 1, runs
    0.36 to 0.67 where they give much."""
    one_update: float = 0.99
    """Least share of the difference from the base that is one parent's, times a factor, for a
    low-rank update to be called that: another of the same place and rank explains 0.5 at most."""
    shown: float = 0.30
    """Least share of elements that a blend gives for it to be said that they show it."""
    lone: float = 0.05
    """Most weight of every other candidate, and most distance from one of its own, of the one that
    has all the weight: quantised and noisy copies have 0.98 to 1.01 of what they are copies of."""
    beside_copies: float = 0.90
    """Most share of what the best copy leaves that a blend may leave, to be one."""
    meeting: float = 0.20
    """Most cosine, at the checkpoint where their lines meet, between two relatives: independent
    trainings of one base have 0.04 to 0.17 there; siblings seen from a third one 0.24 and more."""
    right_angle: float = 4.0
    """Most standard deviations from a right angle of noise and what it is independent of."""
    no_right_angle: float = 8.0
    """Least standard deviations from a right angle where noise is not independent."""
    within_two: float = 0.97
    """Least share of what a recipe does not reproduce that is two units in the last place off at
    most, for it to be rounding: arithmetic in another order leaves 0.97 to 1, changes 0.01."""
    least_residual: float = 0.85
    """Least residual of a blend that was rounded: 0.85 to 1.25 were measured. A parent made from
    the child leaves 0.14 to 0.79."""
    weight: float = 0.01
    """Least weight of a parent that a blend is said to hold."""
    significance: float = -3.0
    """Most log10 p, Holm-adjusted, of such a parent."""
    bias: float = 0.01
    """Least distance by which rounding can move a weight for that to be said beside it."""
    condition: float = 1e6
    """Least condition number of parents that can not be told apart."""
    nearly_all: float = 0.99
    """Least share of the child's elements that must have been compared for level *exact*, and for
    the first sentence not to begin with that share."""
    coverage: float = 0.50
    """Least share of the child's elements that must have been compared."""
    mostly: float = 0.9
    """Least share of the elements that are one checkpoint's for the child to be a copy of it but
    for what is no relative of its."""
    counters: float = 1e-4
    """Most share of the elements that are integers and no checkpoint's, as counters of steps are,
    for level *exact*."""
