"""The evidence as a bill of materials: CycloneDX 1.7."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from parentage.bundle.manifest import sha256
from parentage.bundle.seal import EVIDENCE
from parentage.support import percent

if TYPE_CHECKING:
    from typing import Any

    from parentage.bundle.document import Checkpoint, Document
    from parentage.bundle.reading import Bundle

PEDIGREE = {
    "ancestor": "ancestors",
    "descendant": "descendants",
    "sibling": "variants",
    "undecided": "variants",
}
"""Where pedigrees have what a checkpoint is to the child: variants are relatives of which it is not
known who came of whom. Strangers are in none."""


def cyclonedx(bundle: Bundle) -> str:
    """Return the evidence as a CycloneDX document.

    The child is the component that the document is of. Its *pedigree* has its relatives, the
    *formulation* the recipe, and the *declarations* the verdict as a claim, with what speaks for it
    and what limits it.
    """
    document = bundle.document
    digest = sha256(bundle.files[EVIDENCE])
    child = {
        **_component(document.inputs.child, "child"),
        "pedigree": _pedigree(document),
        "properties": [
            _property("verdict", document.verdict.kind),
            _property("level", document.verdict.level),
            _property("rule", document.verdict.rule),
            *_root(document.inputs.child),
        ],
    }
    others = [
        (f"{role}-{i}", each) for i, (role, each) in enumerate(document.inputs.by_role[1:], 1)
    ]
    out: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": f"urn:uuid:{uuid.UUID(digest[:32], version=4)}",
        "version": 1,
        "metadata": {
            "timestamp": bundle.created,
            "tools": {
                "components": [
                    {
                        "type": "application",
                        "name": document.tool.name,
                        "version": document.tool.version,
                    }
                ]
            },
            "component": child,
        },
        "components": [
            {**_component(each, ref), "properties": _root(each)} if _root(each)
            else _component(each, ref)
            for ref, each in others
        ],
        "declarations": _declarations(bundle, digest),
    }  # fmt: skip
    if document.recipe is not None:
        refs = {each.name: ref for ref, each in others}
        out["formulation"] = [_formula(document, refs)]
    return json.dumps(out, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _component(checkpoint: Checkpoint, ref: str | None = None) -> dict[str, Any]:
    """Return a checkpoint as a component, its files as parts of it."""
    files = [*checkpoint.files, *(checkpoint.beside or ())]
    out: dict[str, Any] = {"type": "machine-learning-model", "name": checkpoint.name}
    if ref is not None:
        out["bom-ref"] = ref
    if checkpoint.revision is not None:
        out["version"] = checkpoint.revision
    known = [
        {
            "type": "file",
            "name": each.name,
            "hashes": [{"alg": "SHA-256", "content": each.sha256}],
        }
        for each in files
        if each.sha256 is not None
    ]
    return out | ({"components": known} if known else {})


def _root(checkpoint: Checkpoint) -> list[dict[str, str]]:
    """Return the root digest of model signing as a property: it is the hash of no one file."""
    if checkpoint.root is None:
        return []
    return [_property("model-signing-root-sha256", checkpoint.root)]


def _pedigree(document: Document) -> dict[str, Any]:
    described = {each.name: each for _, each in document.inputs.by_role}
    out: dict[str, Any] = {}
    for each in document.relations:
        place = PEDIGREE.get(each.relation)
        if place is not None and each.checkpoint in described:
            out.setdefault(place, []).append(_component(described[each.checkpoint]))
    return {**out, "notes": document.verdict.text}


def _formula(document: Document, refs: dict[str, str]) -> dict[str, Any]:
    """Return the recipe as a workflow: what goes in, and what came out."""
    recipe = document.recipe
    assert recipe is not None, "asked for only where there is one"
    share = percent(recipe.exact_share)
    properties = [
        _property("method", recipe.method),
        _property("arithmetic", recipe.arithmetic),
        _property("elements", str(recipe.elements)),
        _property("mismatches", str(recipe.mismatches)),
        _property("explained", str(recipe.explained)),
    ]
    if recipe.mergekit is not None:
        properties.append(_property("mergekit", recipe.mergekit))
    return {
        "bom-ref": "formula",
        "workflows": [
            {
                "bom-ref": "recipe",
                "uid": "recipe",
                "name": recipe.method,
                "description": (
                    f"Found by carrying it out: it reproduces {share} of {recipe.elements:,} "
                    "elements, bit for bit. Nobody watched the child being made."
                ),
                "taskTypes": ["merge"],
                "inputs": [
                    {"resource": {"ref": refs[name]}} for name in recipe.names if name in refs
                ],
                "outputs": [{"type": "artifact", "resource": {"ref": "child"}}],
                "properties": properties,
            }
        ],
    }


def _declarations(bundle: Bundle, digest: str) -> dict[str, Any]:
    """Return the verdict as a claim, with what it rests on and what limits it."""
    document = bundle.document
    verdict = document.verdict
    numbers = json.dumps(verdict.numbers, ensure_ascii=False)
    evidence = [
        _evidence("evidence", f"evidence.json of the trace, SHA-256 {digest}", None),
        _evidence("numbers", f"What met the rule {verdict.rule}", numbers),
    ]
    against = [
        _evidence(f"against-{i}", text, None) for i, text in enumerate(reservations(document), 1)
    ]
    return {
        "targets": {
            "components": [
                {
                    "type": "machine-learning-model",
                    "name": document.inputs.child.name,
                    "bom-ref": "target",
                }
            ]
        },
        "claims": [
            {
                "bom-ref": "claim",
                "target": "target",
                "predicate": f"{verdict.kind} ({verdict.level})",
                "reasoning": verdict.text,
                "evidence": [each["bom-ref"] for each in evidence],
                "counterEvidence": [each["bom-ref"] for each in against],
            }
        ],
        "evidence": [*evidence, *against],
    }


def reservations(document: Document) -> list[str]:
    """Return what limits the verdict, in sentences."""
    inputs, coverage, recipe = document.inputs, document.coverage, document.recipe
    out = []
    if recipe is not None and recipe.decoy_share is not None:
        out.append(
            "With decoys in place of its parents the recipe reaches "
            f"{percent(recipe.decoy_share)} of a sample."
        )
    if recipe is not None and (recipe.mismatches or recipe.explained):
        out.append(
            f"The recipe does not give {recipe.mismatches:,} of {recipe.elements:,} elements, and "
            f"leaves a choice in {recipe.explained:,}."
        )
    left = coverage.elements - coverage.elements_read
    if left:
        out.append(
            f"{left:,} of {coverage.elements:,} elements of {inputs.child.name} were not read."
        )
    out += [
        f"What {each.checkpoint} is to {inputs.child.name} was not decided."
        for each in document.relations
        if each.relation == "undecided"
    ]
    if not inputs.controls:
        out.append("No control was offered: what a relative that is no parent shows is not told.")
    out.append(
        "Only the checkpoints that were offered were compared: others that were made of the same "
        "may explain as much. Weights do not tell who made a checkpoint, or when."
    )
    return out


def _evidence(ref: str, description: str, content: str | None) -> dict[str, Any]:
    out: dict[str, Any] = {"bom-ref": ref, "description": description}
    if content is not None:
        attachment = {"contentType": "application/json", "content": content}
        out["data"] = [{"name": ref, "contents": {"attachment": attachment}}]
    return out


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"parentage:{name}", "value": value}
