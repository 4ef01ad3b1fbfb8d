"""Makes a bundle of evidence: statements on it, and the manifest of all of its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from parentage.bundle.document import read_document
from parentage.bundle.manifest import MANIFEST, manifest_text
from parentage.bundle.statements import STATEMENTS, statement_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

EVIDENCE = "evidence.json"
"""Name of the document."""

FACTS = "facts.json"
"""Name of the file of what the rules looked at."""

SLICES = "slices.parquet"
"""Name of the table of estimates, by slice and checkpoint."""

SUMS = "sums.parquet"
"""Name of the table of the sums by slice that estimates are made of."""

CURVES = "spectrum.parquet"
"""Name of the table of how many rounding cells admit each weight."""

METADATA = "metadata.json"
"""Name of what the checkpoints' files say beside weights: circumstance."""

STATED = (EVIDENCE, FACTS, SLICES, SUMS, CURVES, METADATA, "recipe.yaml")
"""Files that statements name by digest: those that hold the evidence itself."""


def sealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a bundle: those given, statements on them if there are digests, manifest.

    The document is the last: where it is, all others are.
    """
    out = {name: data for name, data in files.items() if name != EVIDENCE}
    statements = statements_of(files)
    if statements is not None:
        out[STATEMENTS] = statements
    out[MANIFEST] = manifest_text({**out, EVIDENCE: files[EVIDENCE]}).encode()
    return {**out, EVIDENCE: files[EVIDENCE]}


def statements_of(files: Mapping[str, bytes]) -> bytes | None:
    """Return the statements on the files of a bundle; ``None`` if there are no digests to name."""
    document = read_document(files[EVIDENCE], EVIDENCE)
    stated = {name: files[name] for name in STATED if name in files}
    lines = statement_lines(document, recipe_of(files[EVIDENCE]), stated)
    return None if lines is None else lines.encode()


def recipe_of(document: bytes) -> dict[str, object] | None:
    """Return the recipe that a document holds, as it stands there; ``None`` without one."""
    found: dict[str, object] | None = json.loads(document)["recipe"]
    return found
