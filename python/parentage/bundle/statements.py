"""in-toto statements on the child: what the weights show, in forms that existing tools sign.

A statement has subjects, told by digest, and a predicate. The subjects are the child, by the root
digest of OpenSSF model signing, and its files, by their own: a statement that is signed lies in
``claims.jsonl`` beside the model's signature and speaks of the same thing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from parentage.bundle.manifest import sha256
from parentage.support import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from parentage.bundle.document import Checkpoint, Document

STATEMENTS = "statements.jsonl"
"""Name of the file: a statement a line, each without a time, so that the file is deterministic."""

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
EVIDENCE_TYPE = "urn:parentage:evidence:1"
"""Type of the predicate that is this evidence. docs/bundle.md describes it."""
PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
RESULT_TYPE = "https://in-toto.io/attestation/svr/v0.2"
MOST_INLINE = 1 << 16
"""Bytes of a recipe up to which provenance holds it as it is."""

BUILD_TYPE = "urn:parentage:replay:1"
"""Type of build: a recipe that is carried out on checkpoints."""


def subjects(child: Checkpoint) -> list[dict[str, Any]]:
    """Return the child and its files as subjects: the root digest first, where it is known.

    Raises
    ------
    EvidenceError
        If the digests of its weights are not known.
    """
    if not child.is_digested:
        raise EvidenceError(
            f"a statement names the files of {child.name} by their digests, and the evidence has "
            "none: trace with --digest sha256 (digest='sha256')"
        )
    files = [*child.files, *(child.beside or ())]
    out = [] if child.root is None else [resource(child.name, child.root)]
    return out + [
        resource(f"{child.name}/{each.name}", each.sha256) for each in files if each.sha256
    ]


def resource(name: str, digest: str) -> dict[str, Any]:
    """Return a resource descriptor."""
    return {"name": name, "digest": {"sha256": digest}}


def evidence_statement(document: Document, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the statement whose predicate is the evidence: verdict, inputs and files by digest.

    ``files`` are what the bundle holds of the evidence, by name.
    """
    verdict, recipe = document.verdict, document.recipe
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects(document.inputs.child),
        "predicateType": EVIDENCE_TYPE,
        "predicate": {
            "tool": {
                "name": document.tool.name,
                "version": document.tool.version,
                "arithmetic": document.tool.arithmetic,
            },
            "verdict": {
                "kind": verdict.kind,
                "level": verdict.level,
                "rule": verdict.rule,
                "text": verdict.text,
            },
            "recipe": None
            if recipe is None
            else {
                "method": recipe.method,
                "arithmetic": recipe.arithmetic,
                "checkpoints": recipe.names,
                "elements": recipe.elements,
                "mismatches": recipe.mismatches,
                "explained": recipe.explained,
            },
            "inputs": [
                {"role": role, "name": each.name, "files": _digests(each)}
                | ({} if each.root is None else {"digest": {"sha256": each.root}})
                for role, each in document.inputs.by_role
            ],
            "coverage": {
                "elements": document.coverage.elements,
                "elementsRead": document.coverage.elements_read,
            },
            "relations": [
                {"checkpoint": each.checkpoint, "relation": each.relation, "test": each.test}
                for each in document.relations
            ],
            "evidence": [resource(name, sha256(data)) for name, data in sorted(files.items())],
        },
    }


def provenance_statement(document: Document, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return SLSA provenance of a child that a recipe reproduces, bit for bit.

    It says how the child can be made, and out of what: that these numbers come of this recipe was
    found by carrying it out, not by watching whoever built it. Headers of files are no part of it.
    A recipe that is longer than :data:`MOST_INLINE` bytes is named by the digest of its text.

    Raises
    ------
    EvidenceError
        If nothing reproduces all of the child, or a digest is not known.
    """
    if not document.is_exact or document.recipe is None:
        raise EvidenceError(
            "provenance is of a child that a recipe reproduces in all bits, and the verdict is "
            f"{document.verdict.kind} ({document.verdict.level})"
        )
    text = json.dumps(recipe, ensure_ascii=False, allow_nan=False)
    told = dict(recipe) if len(text) <= MOST_INLINE else {"sha256": sha256(text.encode())}
    needed = set(document.recipe.names)
    parents = [each for _, each in document.inputs.by_role[1:] if each.name in needed]
    lacking = next((each.name for each in parents if not each.is_digested), None)
    if lacking is not None:
        raise EvidenceError(
            f"provenance names what {lacking} consists of by digest, and the evidence has none: "
            "trace with --digest sha256 (digest='sha256')"
        )
    dependencies: list[dict[str, Any]] = []
    for each in parents:
        if each.root is not None:
            dependencies.append(resource(each.name, each.root))
        dependencies += [
            resource(f"{each.name}/{file.name}", file.sha256) for file in each.files if file.sha256
        ]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            resource(f"{document.inputs.child.name}/{file.name}", file.sha256)
            for file in document.inputs.child.files
            if file.sha256
        ],
        "predicateType": PROVENANCE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"recipe": told},
                "internalParameters": {
                    "arithmetic": document.tool.arithmetic,
                    "reproduced": "the data of all tensors; not the headers of files",
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": verifier_id(document),
                    "version": {document.tool.name: document.tool.version},
                }
            },
        },
    }


def result_statement(document: Document, created: str) -> dict[str, Any]:
    """Return a simple verification result: the verdict as properties, in a line.

    ``created`` is when the verdict was found, as RFC 3339 has it. The rules are those of the
    verifier's version, and there is no policy of anybody else.
    """
    verdict = document.verdict
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects(document.inputs.child),
        "predicateType": RESULT_TYPE,
        "predicate": {
            "verifier": {"id": verifier_id(document), "policies": []},
            "timeCreated": created,
            "properties": [
                f"PARENTAGE_VERDICT_{property_name(verdict.kind)}",
                f"PARENTAGE_LEVEL_{property_name(verdict.level)}",
                f"PARENTAGE_RULE_{property_name(verdict.rule)}",
            ],
        },
    }


def property_name(text: str) -> str:
    """Return a word as properties have it.

    >>> property_name("merge-then-changed")
    'MERGE_THEN_CHANGED'
    """
    return text.upper().replace("-", "_")


def verifier_id(document: Document) -> str:
    """Return what identifies the version of the rules and of the arithmetic."""
    return f"urn:parentage:{document.tool.version}:{document.tool.arithmetic}"


def line(statement: Mapping[str, Any]) -> str:
    """Return a statement as a line of JSON."""
    return json.dumps(statement, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def statement_lines(
    document: Document, recipe: Mapping[str, Any] | None, files: Mapping[str, bytes]
) -> str | None:
    """Return the statements that hold of a bundle, a line each; ``None`` without digests."""
    if not document.inputs.child.is_digested:
        return None
    out = line(evidence_statement(document, files))
    if document.is_exact and document.is_digested and recipe is not None:
        out += line(provenance_statement(document, recipe))
    return out


def _digests(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    return [
        {"name": each.name, "bytes": each.bytes}
        | ({} if each.sha256 is None else {"digest": {"sha256": each.sha256}})
        for each in checkpoint.files
    ]
