"""The methods that a recipe may name, one file each.

A file says what its method computes (``formula``), where that is defined (``source``), what its
parameters mean, how they are estimated from a sample, and how the method is replayed. Adding one is
adding a file with a ``METHOD`` to the list below; README.md, "Develop", tells how.
"""

from __future__ import annotations

from parentage.methods import (
    arcee_fusion,
    breadcrumbs,
    breadcrumbs_ties,
    dare_linear,
    dare_ties,
    della,
    della_linear,
    karcher,
    linear,
    lora,
    model_stock,
    multislerp,
    nearswap,
    nested,
    nuslerp,
    passthrough,
    ram,
    ramplus_tl,
    sce,
    slerp,
    task_arithmetic,
    ties,
)
from parentage.methods.method import Method, Replaying

_FILES = (
    passthrough,
    linear,
    task_arithmetic,
    nested,
    slerp,
    nuslerp,
    multislerp,
    karcher,
    model_stock,
    lora,
    ties,
    dare_linear,
    dare_ties,
    della,
    della_linear,
    breadcrumbs,
    breadcrumbs_ties,
    sce,
    ram,
    ramplus_tl,
    arcee_fusion,
    nearswap,
)

METHODS: dict[str, Method] = {each.METHOD.name: each.METHOD for each in _FILES}
"""By name; of methods that reproduce the same bytes, the first is the one that is reported."""

__all__ = ["METHODS", "Method", "Replaying"]
