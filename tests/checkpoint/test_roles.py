"""Checkpoints by role, name and column."""

import parentage
import pytest
from parentage.support import PlanError


@pytest.mark.levels
def test_one_parent_offered_twice_is_refused(family):
    with pytest.raises(PlanError, match="given twice as a parent"):
        parentage.trace(
            family("child"), base=family("base"), parents=[family("parent"), family("parent")]
        )
    with pytest.raises(PlanError, match="given as the base and as a parent"):
        parentage.trace(family("child"), base=family("base"), parents=[family("base")])
