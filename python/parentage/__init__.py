"""A parentage test for model checkpoints.

>>> import parentage
>>> from parentage.demo import family
>>> found = parentage.trace(family("child"), base=family("base"), parents=[family("parent")])
>>> print(found.verdict.kind, round(found.model["ols_parent"][0], 2))
merge 0.6

Modules are imported when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from parentage import _core

if TYPE_CHECKING:
    from parentage.checkpoint import Checkpoint
    from parentage.errors import (
        CheckpointError,
        JournalError,
        ParentageError,
        PlanError,
        ReadError,
        RecipeError,
        WriteError,
    )
    from parentage.pipeline import trace
    from parentage.recipe import Recipe
    from parentage.report import Trace
    from parentage.verdict import Verdict

_HOMES = {
    "Checkpoint": "checkpoint",
    "CheckpointError": "errors",
    "JournalError": "errors",
    "ParentageError": "errors",
    "PlanError": "errors",
    "ReadError": "errors",
    "Recipe": "recipe",
    "RecipeError": "errors",
    "Trace": "report",
    "Verdict": "verdict",
    "WriteError": "errors",
    "trace": "pipeline",
}

__version__ = _core.__version__

if _core.build_profile == "debug":
    warnings.warn("parentage was built without optimisation; it is slow", stacklevel=2)

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "JournalError",
    "ParentageError",
    "PlanError",
    "ReadError",
    "Recipe",
    "RecipeError",
    "Trace",
    "Verdict",
    "WriteError",
    "__version__",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"parentage.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'parentage' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
