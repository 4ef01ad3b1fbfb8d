"""What a search for relatives found, as tables, as a document and in sentences."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from parentage.relatives.tree import TREE, mermaid
from parentage.support import listed, printable

if TYPE_CHECKING:
    from typing import Any

    from parentage.evidence import Trace

SCHEMA = "parentage.search/1"

SURE = ("identical", "re-encoded", "merge")
"""Verdicts by which a search is sure, where bits of all that is held were reproduced. A library is
never known to be complete: what is nearest in it need not be what a fine-tune began with, unless
lines meet there and nowhere else."""

RELATIVES = {
    "rank": pl.Int64,
    "name": pl.String,
    "relation": pl.String,
    "cosine": pl.Float64,
    "distance": pl.Float64,
    "weight": pl.Float64,
    "same_as": pl.String,
    "elements": pl.Int64,
}
"""Columns of the table of relatives."""


@dataclass(frozen=True)
class Found:
    """What a search found. Nothing in it says who came first, but what :attr:`trace` decides."""

    child: str
    library: str
    searched: int
    """Sketches in the library."""
    comparable: int
    """Those with enough in common with the child for a look."""
    relatives: pl.DataFrame
    """One row per relative, those first that explain the child, then the base, then the nearest.

    ``cosine`` is of the weights, ``distance`` as a share of the child's length, ``weight`` in the
    blend that explains it best, and ``elements`` how many that rests on."""
    base: str | None = None
    """Where the lines between the relatives meet; ``None`` where that is not decided."""
    base_cosine: float = math.nan
    """The mean size of the cosines of the angles there, or where they are the rightest."""
    meeting: tuple[str, ...] = ()
    """Where lines may meet: several, at nearly one place, where it is not decided."""
    blend: tuple[tuple[str, float], ...] = ()
    """Of at most three relatives, the combination that explains the child best, sum one."""
    blends: tuple[str, ...] = ()
    """Relatives that are blends of two or three of the others, all but rounding: they are passed
    over where what they are blends of explains as much."""
    r2: float = 0.0
    """Share of the squared distance from the nearest relative that it explains, with weights of
    its own for each tensor."""
    floors: float = math.nan
    """What it leaves, in root mean square roundings of the child."""
    log10_p: float = 0.0
    """That chance takes off as much, for all subsets tried (Bonferroni); 0 for a single one."""
    tried: int = 0
    """Subsets that were tried."""
    proposed: tuple[str, ...] = ()
    """Sketches whose elements are not alike, and whose rows and columns have the same lengths:
    an order or a rotation leaves that. It decides nothing."""
    trace: Trace | None = None
    """The verdict from sketches, with the base and the parents found; ``None`` without relatives,
    or if it was not asked for."""
    command: str | None = None
    """What would decide it, on the checkpoints themselves."""
    tree: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TREE))
    """The shortest tree over the child and its relatives."""
    remarks: tuple[str, ...] = ()

    @property
    def is_sure(self) -> bool:
        """Whether a verdict from sketches names what the child is made of, or a copy of.

        A copy or a recipe has to give all that is held, bit for bit; a fine-tune has to be one of
        what lies where lines meet.
        """
        if self.trace is None:
            return False
        verdict, outcome = self.trace.verdict, self.trace.outcome
        if verdict.kind == "merge":
            return verdict.rule == "replayed" and outcome is not None and not outcome.mismatched
        if verdict.kind == "fine-tune":
            return self.base is not None and verdict.numbers.get("parent") == self.base
        return verdict.kind in SURE

    @property
    def parents(self) -> tuple[str, ...]:
        """What that verdict names, the base included where it is part; empty if it is not sure."""
        if self.trace is None or not self.is_sure:
            return ()
        if self.trace.recipe is not None:
            return tuple(self.trace.recipe.checkpoints)
        named = self.trace.verdict.numbers.get("parent")
        return (str(named),) if named is not None else ()

    @property
    def called(self) -> str:
        """What the tree calls the child: a sketch of it may have its name."""
        return str(self.tree["first"][0]) if len(self.tree) else self.child

    def mermaid(self) -> str:
        """Return the tree as a Mermaid flow chart."""
        return mermaid(self.tree, self.called)

    @property
    def document(self) -> dict[str, Any]:
        """Everything, for JSON."""
        verdict = None if self.trace is None else self.trace.verdict
        return {
            "schema": SCHEMA,
            "child": self.child,
            "searched": self.searched,
            "comparable": self.comparable,
            "relatives": self.relatives.to_dicts(),
            "base": self.base,
            "base_cosine": self.base_cosine if math.isfinite(self.base_cosine) else None,
            "blend": [{"name": name, "weight": weight} for name, weight in self.blend],
            "meeting": list(self.meeting),
            "blends": list(self.blends),
            "r2": self.r2,
            "floors": self.floors if math.isfinite(self.floors) else None,
            "log10_p": self.log10_p,
            "tried": self.tried,
            "proposed": list(self.proposed),
            "verdict": None
            if verdict is None
            else {
                "kind": verdict.kind,
                "level": verdict.level,
                "rule": verdict.rule,
                "text": verdict.text,
            },
            "sure": self.is_sure,
            "parents": list(self.parents),
            "command": self.command,
            "tree": self.tree.to_dicts(),
            "remarks": list(self.remarks),
        }

    def to_json(self) -> str:
        """Return :attr:`document` as JSON text."""
        return json.dumps(self.document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def summary(found: Found) -> str:
    """Return what a search found in a few sentences, none of which says more than was tested."""
    count = len(found.relatives)
    text = (
        f"{count:,} of {found.searched:,} sketches are relatives of {found.child}"
        if count
        else f"none of {found.searched:,} sketches is a relative of {found.child}"
    )
    text += f"; {found.comparable:,} have enough in common with it to tell."
    if found.blend and len(found.blend) > 1:
        said = [f"{weight:.3f} {name}" for name, weight in found.blend]
        text += (
            f" {listed(said)} explain {found.r2:.1%} of how it differs from the nearest, and leave "
            f"{found.floors:.2f} of its rounding: the best of {found.tried:,} subsets (log10 p of "
            f"chance {found.log10_p:.0f})."
        )
    if found.base is not None:
        text += (
            f" The lines between the relatives meet at {found.base} (the mean cosine there is "
            f"{found.base_cosine:.3f}), as they do at a base; a mean of many lies there as well."
        )
    if found.proposed:
        text += (
            f" Not alike element by element, but with rows and columns of the same lengths, as "
            f"another order or basis leaves them: {listed(found.proposed)}. That decides nothing."
        )
    return printable(text)
