"""The evidence as SPDX 3.0.1 JSON-LD: the checkpoints as AI packages, and how they are related."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING

from parentage.bundle.manifest import sha256
from parentage.bundle.releases import OPTIONS, Release
from parentage.bundle.seal import EVIDENCE
from parentage.support import are, listed

if TYPE_CHECKING:
    from collections.abc import Mapping
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


def spdx(bundle: Bundle, releases: Mapping[str, Release] = MappingProxyType({})) -> str:
    """Return the evidence as an SPDX document.

    Weights tell neither licences nor suppliers, times of release, versions and places of download.
    Licences are not asserted. The rest is what ``releases`` say, by name of checkpoint. The AI
    profile asks for all of it: a document claims that profile if the child's release is known, and
    then has as AI packages those whose release is known, and as packages of software the others.
    Without it, all checkpoints are AI packages, and the document claims core and software alone.
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
    is_claimed = _is_known(document.inputs.child, releases)
    suppliers: dict[str, str] = {}
    for number, (role, each) in enumerate(document.inputs.by_role):
        ids[each.name] = f"{space}#{role}-{number}"
        release = releases.get(each.name, Release())
        is_ai = not is_claimed or _is_known(each, releases)
        package = _package(each, ids[each.name], info, is_ai=is_ai)
        if release.supplied_by is not None:
            supplier = f"{space}#supplier-{len(suppliers)}"
            if release.supplied_by not in suppliers:
                graph.append(
                    {
                        "type": "Agent",
                        "spdxId": supplier,
                        "creationInfo": info,
                        "name": release.supplied_by,
                    }
                )
            package["suppliedBy"] = suppliers.setdefault(release.supplied_by, supplier)
        graph.append(package | _told(release))
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
            "profileConformance": ["core", "software", *(["ai"] if is_claimed else [])],
            "comment": CLAIMED if is_claimed else _not_claimed(document.inputs.child, releases),
            "rootElement": [child],
            "element": [each["spdxId"] for each in graph if "spdxId" in each],
        }
    )
    out = {"@context": CONTEXT, "@graph": graph}
    return json.dumps(out, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


NO_ASSERTION = "expandedlicensing_NoAssertionLicense"


CLAIMED = (
    "Suppliers, times of release, places of download and versions are what whoever exported this "
    "said of them; weights do not tell them. Checkpoints of which they were not said are packages "
    "of software."
)
NOT_CLAIMED = (
    "The AI profile asks for the supplier, the time of release, the place of download and the "
    "version of every AI package, which weights do not tell: this document claims no conformance "
    "to it."
)


def _not_claimed(child: Checkpoint, releases: Mapping[str, Release]) -> str:
    """Return why the AI profile is not claimed, and what is lacking where something was said."""
    if child.name not in releases:
        return NOT_CLAIMED
    left = _lacking(child, releases)
    return f"{NOT_CLAIMED} Of {child.name}, {listed(left)} {are(len(left))} lacking."


def _lacking(checkpoint: Checkpoint, releases: Mapping[str, Release]) -> list[str]:
    """Return what the AI profile asks for and is not known of a checkpoint, as options say it."""
    release = releases.get(checkpoint.name, Release())
    known = {
        "supplied_by": release.supplied_by,
        "released": release.released,
        "download_location": release.download_location,
        "version": release.version or checkpoint.revision,
    }
    return [OPTIONS[name] for name, value in known.items() if value is None]


def _is_known(checkpoint: Checkpoint, releases: Mapping[str, Release]) -> bool:
    return not _lacking(checkpoint, releases)


def _told(release: Release) -> dict[str, str]:
    """Return what is said of a release beside the supplier, as a package has it."""
    told = {
        "releaseTime": release.time,
        "software_downloadLocation": release.download_location,
        "software_packageVersion": release.version,
    }
    return {name: value for name, value in told.items() if value is not None}


def _package(checkpoint: Checkpoint, name: str, info: str, *, is_ai: bool) -> dict[str, Any]:
    out: dict[str, Any] = {
        "type": "ai_AIPackage" if is_ai else "software_Package",
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
