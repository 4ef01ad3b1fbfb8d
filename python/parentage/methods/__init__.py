"""The methods that a recipe may name, one file each.

A file says what its method computes (``formula``), where that is defined (``source``), what its
parameters mean, how they are estimated from a sample, and how the method is replayed. Adding one is
adding a file with a ``METHOD`` to the list below; README.md, "Develop", tells how.
"""

from __future__ import annotations

from parentage.methods import (
    linear,
    lora,
    model_stock,
    passthrough,
    slerp,
    task_arithmetic,
)
from parentage.methods.method import Method, Replaying

_FILES = (
    passthrough,
    linear,
    task_arithmetic,
    slerp,
    model_stock,
    lora,
)

METHODS: dict[str, Method] = {each.METHOD.name: each.METHOD for each in _FILES}
"""By name; of methods that reproduce the same bytes, the first is the one that is reported."""

__all__ = ["METHODS", "Method", "Replaying"]
