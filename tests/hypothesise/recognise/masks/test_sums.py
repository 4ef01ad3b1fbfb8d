"""Which sums of displacements elements are: added up or averaged, of all or of one sign."""

from types import SimpleNamespace

import numpy as np
import pytest
from common.families import bf16
from parentage.hypothesise.recognise.masks.sums import assign_masks, sum_structure
from parentage.hypothesise.recognise.masks.view import View, cell

SHARES = np.array([0.7, 0.3])


def made(kind, seed=3, count=6000):
    """Return a view of elements that are sums of two terms, the terms, and what was kept."""
    rng = np.random.default_rng(seed)
    base = bf16(rng.normal(0.0, 0.03, count)).astype(np.float64)
    terms = rng.normal(0.0, 0.004, (2, count))
    kept = rng.random((2, count)) < 0.5
    parts = terms * kept
    if kind != "sum":
        votes = parts * (SHARES[:, None] if kind == "mean" else 1.0)
        sign = np.where(votes.sum(axis=0) >= 0, 1, -1)
        parts = parts * (np.sign(parts) == sign)
    change = parts.sum(axis=0)
    if kind == "mean":
        weight = (SHARES[:, None] * (parts != 0.0)).sum(axis=0)
        change = (SHARES[:, None] * parts).sum(axis=0) / np.where(weight > 0, weight, 1.0)
    child = bf16(base + change).astype(np.float64)
    low, high = cell(child, "BF16")
    ends = cell(base, "BF16")
    view = SimpleNamespace(
        arithmetic="float32",
        low=low - base,
        high=high - base,
        width=ends[1] - ends[0],
        moved=child != base,
        size=count,
    )
    view.admits = lambda *given: View.admits(view, *given)
    return view, terms, kept


@pytest.mark.parametrize(
    ("kind", "elected", "normalized"),
    [("sum", False, False), ("elected", True, False), ("mean", True, True)],
)
def test_the_kind_of_sum_is_told(kind, elected, normalized):
    view, terms, _ = made(kind)
    found = sum_structure(view, terms)
    assert found[:2] == (elected, normalized)
    if normalized:
        assert found[2] == pytest.approx(SHARES, abs=0.01)


def test_of_one_parent_there_is_nothing_to_tell():
    view, terms, _ = made("sum")
    elected, normalized, shares = sum_structure(view, terms[:1])
    assert (elected, normalized, shares.tolist()) == (False, False, [1.0])


@pytest.mark.parametrize("kind", ["sum", "elected", "mean"])
def test_masks_that_are_known_are_true(kind):
    view, terms, kept = made(kind)
    known_kept, known_dropped, explained = assign_masks(
        view, terms, kind != "sum", kind == "mean", SHARES
    )
    assert explained > 0.999
    assert not (known_kept & known_dropped).any()
    # What is small may have been one or the other by accident.
    assert (known_kept & ~kept).mean() < 0.01
    assert (known_dropped & kept).mean() < 0.01
    assert (known_kept & kept).sum() > 0.5 * kept.sum()


def test_strange_elements_are_explained_by_no_set():
    view, terms, _ = made("sum")
    strange = np.random.default_rng(1).normal(0.0, 0.004, terms.shape)
    assert assign_masks(view, strange, False, False, SHARES)[2] < 0.5
