"""The evidence document as typed data: what exports and checks read of it, and that it is one."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from parentage.bundle.assumed import Assumed
from parentage.checkpoint import IN_MEMORY
from parentage.support import EvidenceError, printable
from parentage.verdict import Roles

SCHEMA = re.compile(r"parentage\.evidence/(\d+)")
NEWEST = 2
"""Version of the evidence that is read."""

MOST_BYTES = 1 << 30
"""No document is as large; what is larger, or has no end, is a mistake."""


class File(msgspec.Struct, frozen=True):
    """A file of a checkpoint."""

    name: str
    bytes: int
    sha256: str | None = None
    published_sha256: str | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    """A checkpoint that was offered."""

    name: str
    files: list[File]
    tensors: int
    elements: int
    revision: str | None = None
    beside: list[File] | None = None
    """The other files of its folder, where digests were asked for."""
    root: str | None = None
    """The root digest of its folder as OpenSSF model signing defines it."""
    source: str | None = None
    """Where it was published, or that it was in memory; ``None`` for what lay on a disk."""

    @property
    def was_in_memory(self) -> bool:
        """Whether its tensors were a program's, and on no disk."""
        return self.source == IN_MEMORY

    @property
    def is_digested(self) -> bool:
        """Whether the digest of every file of weights is known."""
        return bool(self.files) and all(each.sha256 is not None for each in self.files)


class Inputs(msgspec.Struct, frozen=True):
    """All checkpoints, by role."""

    child: Checkpoint
    base: Checkpoint
    parents: list[Checkpoint]
    controls: list[Checkpoint]
    called: Roles | None = None
    """What each was called, where some turned out to be something else; ``None`` elsewhere."""

    @property
    def by_role(self) -> list[tuple[str, Checkpoint]]:
        """All of them, each with its role."""
        return [
            ("child", self.child),
            ("base", self.base),
            *[("parent", each) for each in self.parents],
            *[("control", each) for each in self.controls],
        ]


class Tool(msgspec.Struct, frozen=True):
    """What made the evidence."""

    name: str
    version: str
    core: str
    arithmetic: int


class Ingredient(msgspec.Struct, frozen=True):
    """A checkpoint that went into a recipe."""

    name: str
    weight: Any = None
    effective_weight: float | None = None


class Recipe(msgspec.Struct, frozen=True):
    """The best recipe, and what it reproduces."""

    method: str
    parents: list[Ingredient]
    arithmetic: str
    out_dtype: str
    elements: int
    mismatches: int
    explained: int
    exact_share: float
    base: str | None = None
    decoy_share: float | None = None
    explained_share: float = 0.0
    equivalents: list[str] = []
    mergekit: str | None = None
    adapters: dict[str, Any] = {}

    @property
    def names(self) -> list[str]:
        """The checkpoints that it needs."""
        first = [] if self.base is None else [self.base]
        added = [each["base"] for each in self.adapters.values() if isinstance(each, dict)]
        return list(dict.fromkeys([*first, *(each.name for each in self.parents), *added]))


class Relation(msgspec.Struct, frozen=True):
    """What one checkpoint is to the child."""

    checkpoint: str
    relation: str
    test: str | None
    numbers: dict[str, float | None]


class Verdict(msgspec.Struct, frozen=True):
    """What follows."""

    kind: str
    level: str
    rule: str
    text: str
    numbers: dict[str, float | int | str | None]


class Coverage(msgspec.Struct, frozen=True):
    """How much was compared."""

    slices: int
    elements: int
    elements_read: int
    share: float
    main: list[str]
    origin: str
    of: dict[str, float]


class Parameters(msgspec.Struct, frozen=True):
    """What could change a number."""

    thresholds: dict[str, float]
    sample: dict[str, Any] | None = None
    search_seed: int | None = None


class Document(msgspec.Struct, frozen=True):
    """What is read of ``evidence.json``."""

    schema: str
    tool: Tool
    inputs: Inputs
    parameters: Parameters
    coverage: Coverage
    model: dict[str, Any]
    components: dict[str, dict[str, Any]]
    relations: list[Relation]
    verdict: Verdict
    recipe: Recipe | None = None
    assumed: Assumed | None = None
    """What nobody gave; ``None`` if all was given."""

    @property
    def is_digested(self) -> bool:
        """Whether the digest of every file of weights of every checkpoint is known."""
        return all(each.is_digested for _, each in self.inputs.by_role)

    @property
    def is_exact(self) -> bool:
        """Whether a recipe reproduces all of the child, bit for bit, with nothing left open."""
        recipe = self.recipe
        return (
            self.verdict.level == "exact"
            and recipe is not None
            and recipe.elements == self.inputs.child.elements > 0
            and recipe.mismatches == 0
            and recipe.explained == 0
        )


def read_document(data: bytes | str, where: str) -> Document:
    """Return what is read of the bytes of a document; ``where`` names the file in errors.

    Raises
    ------
    EvidenceError
        If it is no evidence, of a newer schema, or not what the schema says: says where in it.
    """
    try:
        head = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.ValidationError as error:
        raise EvidenceError(f"{where}: no evidence of a trace: it holds no object") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EvidenceError(f"{where}: not JSON: {error}") from error
    schema = head.get("schema")
    found = SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if found is None:
        said = "it has no schema" if schema is None else f"its schema is {printable(repr(schema))}"
        raise EvidenceError(f"{where}: no evidence of a trace: {said[:200]}")
    if int(found[1]) > NEWEST:
        raise EvidenceError(
            f"{where}: is of the schema {schema}, and this version of parentage reads "
            f"parentage.evidence/{NEWEST}: a newer one made it, and reads it"
        )
    if int(found[1]) < NEWEST:
        raise EvidenceError(
            f"{where}: is of the schema {schema}; bundles are of parentage.evidence/{NEWEST}: "
            "trace the checkpoints again"
        )
    try:
        return msgspec.convert(head, Document)
    except msgspec.ValidationError as error:
        raise EvidenceError(f"{where}: not as its schema {schema} says: {error}") from error
