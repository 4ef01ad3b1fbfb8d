"""Whether a document has what traces write, and nothing that is written into one by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.bundle import EVIDENCE
from parentage.verify.finding import FAILED, OK, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

DOCUMENT = frozenset(
    (
        *("schema", "tool", "inputs", "parameters", "coverage", "model", "components"),
        *("spectrum", "recipe", "relations", "verdict", "assumed"),
    )
)
"""Keys of a document."""

WITHIN = {
    "tool": frozenset(("name", "version", "core", "arithmetic", "device")),
    "inputs": frozenset(("child", "base", "parents", "controls", "called")),
    "parameters": frozenset(
        ("blocks", "least_share_paired", "singular", "sample", "search_seed", "thresholds")
    ),
    "coverage": frozenset(
        (
            *("slices", "elements", "elements_read", "origin", "main", "share", "of"),
            *("unaligned", "orders"),
        )
    ),
    "assumed": frozenset(("library", "parents_given", "checkpoints")),
    "spectrum": frozenset(("elements", "held", "missing")),
    "verdict": frozenset(("kind", "level", "rule", "text", "numbers")),
}
"""Keys of its parts; those of models, components, recipes and relations are made again."""

CHECKPOINT = frozenset(
    ("name", "source", "revision", "files", "tensors", "elements", "beside", "root")
)
"""Keys of a checkpoint."""

FILE = frozenset(("name", "bytes", "sha256", "published_sha256"))
"""Keys of a file."""

ASSUMED = frozenset(("name", "role", "search", "claims", "sketch"))
"""Keys of what was assumed to be something."""


def check_keys(told: Mapping[str, Any]) -> Iterator[Finding]:
    """Say of every key that no trace writes: whoever reads a document is shown it."""
    strange = sorted(_strange(told))
    for path in strange:
        yield Finding("keys", FAILED, f"{path} is nothing that a trace writes", EVIDENCE)
    if not strange:
        yield Finding("keys", OK, "has what traces write, and nothing else", EVIDENCE)


def _strange(told: Mapping[str, Any]) -> Iterator[str]:
    yield from sorted(told.keys() - DOCUMENT)
    for part, known in WITHIN.items():
        found = told.get(part)
        if isinstance(found, dict):
            yield from (f"{part}.{name}" for name in found.keys() - known)
    for at, each in enumerate((told.get("assumed") or {}).get("checkpoints", ())):
        yield from (f"assumed.checkpoints[{at}].{name}" for name in each.keys() - ASSUMED)
        for claim in each.get("claims", ()):
            yield from (
                f"assumed.checkpoints[{at}].claims.{name}"
                for name in claim.keys() - {"source", "claim"}
            )
    inputs = told["inputs"]
    named = [("child", inputs["child"]), ("base", inputs["base"])]
    for role in ("parents", "controls"):
        named += [(f"{role}[{at}]", each) for at, each in enumerate(inputs[role])]
    for where, each in named:
        yield from (f"inputs.{where}.{name}" for name in each.keys() - CHECKPOINT)
        for kind in ("files", "beside"):
            for file in each.get(kind) or ():
                yield from (f"inputs.{where}.{kind}.{name}" for name in file.keys() - FILE)
