"""The evidence as SPDX 3.0.1 JSON-LD: the checkpoints as AI packages, and how they are related."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from parentage.bundle.manifest import sha256
from parentage.bundle.seal import EVIDENCE

if TYPE_CHECKING:
    from typing import Any

    from parentage.bundle.document import Checkpoint
    from parentage.bundle.reading import Bundle

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"

RELATED = {
    "ancestor": ("ancestorOf", True),
    "descendant": ("descendantOf", True),
    "sibling": ("hasVariant", False),
    "undecided": ("hasVariant", False),
}
"""By what a checkpoint is to the child: the relationship, and whether it leads to the child.

Strangers have none."""


def spdx(bundle: Bundle) -> str:
    """Return the evidence as an SPDX document.

    Checkpoints are AI packages. Licences are not asserted, since weights do not tell them, and
    neither are suppliers, versions and places of download: so the document claims conformance to
    the core and software profiles, and not to that of AI, which asks for all of these.
    """
    document = bundle.document
    digest = sha256(bundle.files[EVIDENCE])
    space = f"urn:parentage:{digest}"
    info = "_:creation"
    graph: list[dict[str, Any]] = [
        {
            "type": "CreationInfo",
            "@id": info,
            "specVersion": "3.0.1",
            "created": bundle.created,
            "createdBy": [f"{space}#agent"],
            "createdUsing": [f"{space}#tool"],
        },
        {
            "type": "SoftwareAgent",
            "spdxId": f"{space}#agent",
            "creationInfo": info,
            "name": f"{document.tool.name} {document.tool.version}",
        },
        {
            "type": "Tool",
            "spdxId": f"{space}#tool",
            "creationInfo": info,
            "name": f"{document.tool.name} {document.tool.version}",
        },
    ]
    ids: dict[str, str] = {}
    for number, (role, each) in enumerate(document.inputs.by_role):
        ids[each.name] = f"{space}#{role}-{number}"
        graph.append(_package(each, ids[each.name], info))
        graph += _files(each, ids[each.name], info)
    child = ids[document.inputs.child.name]
    evidence = f"{space}#evidence"
    graph.append(
        {
            "type": "software_File",
            "spdxId": evidence,
            "creationInfo": info,
            "name": EVIDENCE,
            "software_primaryPurpose": "evidence",
            "summary": f"{document.verdict.kind} ({document.verdict.level})",
            "description": document.verdict.text,
            "verifiedUsing": [_hash(digest)],
        }
    )
    related: list[tuple[str, str, list[str]]] = [("hasEvidence", child, [evidence])]
    for relation in document.relations:
        kind = RELATED.get(relation.relation)
        if kind is not None and relation.checkpoint in ids:
            ends = (ids[relation.checkpoint], child)
            start, end = ends if kind[1] else ends[::-1]
            related.append((kind[0], start, [end]))
    for name in ids.values():
        related.append(("hasConcludedLicense", name, [NO_ASSERTION]))
        related.append(("hasDeclaredLicense", name, [NO_ASSERTION]))
    graph += [
        {
            "type": "Relationship",
            "spdxId": f"{space}#relationship-{number}",
            "creationInfo": info,
            "relationshipType": kind,
            "from": start,
            "to": ends,
        }
        for number, (kind, start, ends) in enumerate(related)
    ]
    graph.append(
        {
            "type": "SpdxDocument",
            "spdxId": f"{space}#document",
            "creationInfo": info,
            "name": f"parentage of {document.inputs.child.name}",
            "profileConformance": ["core", "software"],
            "rootElement": [child],
            "element": [each["spdxId"] for each in graph if "spdxId" in each],
        }
    )
    out = {"@context": CONTEXT, "@graph": graph}
    return json.dumps(out, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


NO_ASSERTION = "expandedlicensing_NoAssertionLicense"


def _package(checkpoint: Checkpoint, name: str, info: str) -> dict[str, Any]:
    out: dict[str, Any] = {
        "type": "ai_AIPackage",
        "spdxId": name,
        "creationInfo": info,
        "name": checkpoint.name,
        "software_primaryPurpose": "model",
    }
    if checkpoint.revision is not None:
        out["software_packageVersion"] = checkpoint.revision
    if checkpoint.root is not None:
        out["verifiedUsing"] = [
            {**_hash(checkpoint.root), "comment": "root digest of OpenSSF model signing"}
        ]
    return out


def _files(checkpoint: Checkpoint, owner: str, info: str) -> list[dict[str, Any]]:
    """Return the files of a checkpoint whose digests are known, and that it contains them."""
    files = [
        {
            "type": "software_File",
            "spdxId": f"{owner}-file-{number}",
            "creationInfo": info,
            "name": each.name,
            "verifiedUsing": [_hash(each.sha256)],
        }
        for number, each in enumerate([*checkpoint.files, *(checkpoint.beside or ())])
        if each.sha256 is not None
    ]
    if not files:
        return []
    contains = {
        "type": "Relationship",
        "spdxId": f"{owner}-files",
        "creationInfo": info,
        "relationshipType": "contains",
        "from": owner,
        "to": [each["spdxId"] for each in files],
    }
    return [*files, contains]


def _hash(digest: str) -> dict[str, Any]:
    return {"type": "Hash", "algorithm": "sha256", "hashValue": digest}
