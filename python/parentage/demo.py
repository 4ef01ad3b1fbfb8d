"""A small real family of checkpoints.

Two layers each of five checkpoints: ``base`` was trained from scratch; ``parent`` and ``sibling``
are fine-tunes of it, ``grandchild`` one of ``parent``; ``child`` is what a merging tool made of
``parent`` and ``base``.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

MEMBERS = ("base", "parent", "sibling", "grandchild", "child")
"""The family's names."""


def family(name: str) -> Path:
    """Return the folder of a member of the family, one of :data:`MEMBERS`.

    >>> sorted(path.name for path in family("child").iterdir())
    ['model.safetensors']
    """
    if name not in MEMBERS:
        raise ValueError(f"the family is {', '.join(MEMBERS)}; there is no {name!r} in it")
    return Path(str(files("parentage") / "family" / name))
