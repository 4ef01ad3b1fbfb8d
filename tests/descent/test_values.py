"""Values that one checkpoint alone has."""

import numpy as np
import pytest
from common.points import made, noise, rounded
from parentage.descent import own_values
from parentage.descent.values import of_somebody

NAMES = ("base", "parent", "sibling")
DTYPES = ("BF16",) * 4


def kept(child):
    others = [noise("BF16", 1), noise("BF16", 2, of=1), noise("BF16", 3, of=1)]
    return own_values(made([*others, child], DTYPES), NAMES)


def test_a_copy_keeps_all_of_one_and_nothing_of_others():
    found = kept(noise("BF16", 2, of=1))
    assert found["parent"].kept == 1.0
    assert max(found["base"].kept, found["sibling"].kept) < 0.05
    assert found["parent"].elements > 10_000


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_what_was_changed_is_missing(share):
    child, random = noise("BF16", 2, of=1), np.random.default_rng(9)
    chosen = random.random(len(child)) < share
    child[chosen] = rounded(random.normal(0, 0.04, chosen.sum()), "BF16")
    assert kept(child)["parent"].kept == pytest.approx(1 - share, abs=0.02)


def test_zeros_say_nothing_of_whose_it_was():
    child = noise("BF16", 2, of=1)
    child[::2] = 0.0
    found = kept(child)
    assert found["parent"].kept == 1.0
    assert found["parent"].elements < 10_500


def test_a_blend_keeps_nobodys():
    base, parent = noise("BF16", 1), noise("BF16", 2, of=1)
    found = kept(rounded(0.6 * parent + 0.4 * base, "BF16"))
    assert max(each.kept for each in found.values()) < 0.1


def test_what_is_chosen_element_by_element_is_somebody_s():
    base, parent, sibling = noise("BF16", 1), noise("BF16", 2, of=1), noise("BF16", 3, of=1)
    chosen = np.random.default_rng(1).random(len(base)) < 0.5
    child = np.where(chosen, parent, sibling)
    every, others = of_somebody(made([base, parent, sibling, child], DTYPES))
    assert every == 1.0
    assert others > 0.8
    every, others = of_somebody(made([base, parent, sibling, base], DTYPES))
    assert (every, others) == (1.0, 0.0)
    blended = rounded(0.5 * parent.astype(float) + 0.5 * sibling, "BF16")
    assert of_somebody(made([base, parent, sibling, blended], DTYPES))[0] < 0.5
