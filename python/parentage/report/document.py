"""The keys of ``evidence.json`` that a report shows, checked before anything is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from parentage.bundle import Assumed
from parentage.support import ReportError, printable
from parentage.verdict import Roles

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMAS = ("parentage.evidence/2",)
"""Versions of the document that a report is made of."""

Number: TypeAlias = float | str | None
"""What is not finite is a text, what is not defined is null."""


class Tool(msgspec.Struct, frozen=True):
    """What made the evidence."""

    name: str
    version: str
    core: str
    arithmetic: int


class File(msgspec.Struct, frozen=True):
    """A file of a checkpoint."""

    name: str
    bytes: int
    sha256: str | None


class CheckpointEntry(msgspec.Struct, frozen=True):
    """A checkpoint that was offered."""

    name: str
    files: list[File]
    tensors: int
    elements: int
    revision: str | None = None


class InputsEntry(msgspec.Struct, frozen=True):
    """All checkpoints, by role."""

    child: CheckpointEntry
    base: CheckpointEntry
    parents: list[CheckpointEntry]
    controls: list[CheckpointEntry]
    called: Roles | None = None


class Parameters(msgspec.Struct, frozen=True):
    """What could change a number."""

    blocks: int
    sample: dict[str, Any] | None
    search_seed: int | None
    thresholds: dict[str, Number]


class Unaligned(msgspec.Struct, frozen=True):
    """A tensor that took no part."""

    checkpoint: str
    tensor: str
    reason: str


class Coverage(msgspec.Struct, frozen=True):
    """How much was compared."""

    slices: int
    elements: int
    elements_read: int
    share: float
    of: dict[str, float]
    unaligned: list[Unaligned]
    origin: str
    main: list[str]
    orders: list[dict[str, Any]] = []


class WeightEntry(msgspec.Struct, frozen=True):
    """What is known of a parent's weight."""

    ols: float | None
    standard_error: float | None
    cells: float | None
    cells_half_width: float | None
    cells_share: float | None
    ols_bias: float | None
    displacement_ulps: float | None


class Summary(msgspec.Struct, frozen=True):
    """What was measured of the model, or of a component."""

    n: int
    bit_equal: dict[str, int]
    weights: dict[str, WeightEntry]
    controls: dict[str, dict[str, float | None]]
    r2: float | None
    cosine: dict[str, float | None]
    residual_rms: float
    residual_rms_free: float
    rounding_rms: float
    log10_p: dict[str, float | None]
    condition: Number
    exact_share: float | None
    explained_share: float | None
    nan: int
    inf: int
    excluded: int


class SpectrumEntry(msgspec.Struct, frozen=True):
    """What is said of the cell spectrum."""

    elements: int
    held: dict[str, float | None]
    missing: str | None


class ParentEntry(msgspec.Struct, frozen=True):
    """A checkpoint in a recipe."""

    name: str
    weight: Any = None
    uncertainty: float | None = None
    density: float | None = None
    effective_weight: float | None = None


class RecipeEntry(msgspec.Struct, frozen=True):
    """The best recipe, and what it reproduces."""

    method: str
    parents: list[ParentEntry]
    parameters: dict[str, Any]
    arithmetic: str
    out_dtype: str
    elements: int
    mismatches: int
    explained: int
    exact_share: float
    explained_share: float
    decoy_share: Number
    mergekit: str | None
    base: str | None = None
    equivalents: list[str] = []
    layers: dict[str, list[int | None]] = {}
    sources: dict[str, str] = {}


class RelationEntry(msgspec.Struct, frozen=True):
    """What a checkpoint is to the child."""

    checkpoint: str
    relation: str
    test: str | None
    numbers: dict[str, Number]


class VerdictEntry(msgspec.Struct, frozen=True):
    """What the evidence supports."""

    kind: str
    level: str
    rule: str
    text: str
    numbers: dict[str, Number]


class Document(msgspec.Struct, frozen=True):
    """Everything that a report shows of ``evidence.json``."""

    schema: str
    tool: Tool
    inputs: InputsEntry
    parameters: Parameters
    coverage: Coverage
    model: Summary
    components: dict[str, Summary]
    recipe: RecipeEntry | None
    verdict: VerdictEntry
    relations: list[RelationEntry] = []
    spectrum: SpectrumEntry | None = None
    assumed: Assumed | None = None

    @property
    def others(self) -> list[tuple[str, CheckpointEntry]]:
        """All checkpoints but the child, each with its role."""
        inputs = self.inputs
        return [
            ("base", inputs.base),
            *(("parent", each) for each in inputs.parents),
            *(("control", each) for each in inputs.controls),
        ]


def read_document(found: Mapping[str, Any]) -> Document:
    """Return the document with its keys as attributes.

    Raises
    ------
    ReportError
        If it is no evidence, or that of another schema.
    """
    schema = found.get("schema")
    if schema not in SCHEMAS:
        told = "has no schema" if schema is None else f"is of schema {printable(str(schema))[:80]}"
        raise ReportError(f"evidence.json {told}; reports are made of {' and '.join(SCHEMAS)}")
    try:
        return msgspec.convert(found, Document)
    except msgspec.ValidationError as error:
        raise ReportError(f"evidence.json: {printable(str(error))[:300]}") from error
    except RecursionError as error:
        raise ReportError("evidence.json: it is nested too deeply") from error
