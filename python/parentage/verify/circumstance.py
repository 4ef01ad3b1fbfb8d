"""Whether what is told of files beside the weights agrees with the evidence, and with the files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from parentage.bundle import METADATA
from parentage.metadata import comparison_of
from parentage.support import EvidenceError
from parentage.verify.comparing import differences
from parentage.verify.finding import FAILED, OK, UNCHECKED, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from parentage.bundle import Document
    from parentage.checkpoint import Inputs
    from parentage.verify.folder import Folder

OF_VERDICT = ("kind", "level", "rule", "text")
"""What is repeated of the verdict beside what files say."""


def check_said(folder: Folder, document: Document) -> Iterator[Finding]:
    """Hold what the table of claims repeats of the evidence against it.

    What files say is not in the evidence: only the files tell that.
    """
    if METADATA not in folder.files:
        return
    told = _read(folder)
    verdict = {name: getattr(document.verdict, name) for name in OF_VERDICT}
    roles = [(role, each.name) for role, each in document.inputs.by_role]
    wrong = []
    if told.get("weights") != verdict:
        wrong.append("weights are not the verdict of the evidence")
    if [(each["role"], each["name"]) for each in told["inputs"]] != roles:
        wrong.append("inputs are not those of the evidence")
    for each, (_, described) in zip(told["inputs"], document.inputs.by_role, strict=False):
        known = {file.name: file.sha256 for file in described.beside or ()}
        digests = {file["name"]: file["sha256"] for file in each["files"]}
        differs = next((x for x in digests if x in known and known[x] != digests[x]), None)
        if differs is not None:
            wrong.append(f"{differs} of {described.name} has another SHA-256 than in the evidence")
    for text in wrong:
        yield Finding("metadata", FAILED, text, METADATA)
    if not wrong:
        text = "repeats the verdict, the checkpoints and the digests of the evidence"
        yield Finding("metadata", OK, text, METADATA)


def check_said_of(
    folder: Folder, document: Document, inputs: Inputs, evidence: Mapping[str, Any]
) -> Iterator[Finding]:
    """Read the files beside the weights again, and compare what they say with what is told."""
    if METADATA not in folder.files:
        return
    described = {each.name: each for _, each in document.inputs.by_role}
    for each in (inputs.child, *inputs.others):
        if described[each.name].was_in_memory and not each.is_in_memory:
            text = f"{each.name} was in memory: what files say of it is not compared"
            yield Finding("metadata", UNCHECKED, text, METADATA)
            return
    found = _read(folder)
    again = json.loads(comparison_of(inputs, evidence).to_json())
    for mine, theirs in zip(again["inputs"], found["inputs"], strict=False):
        if mine["files"] != theirs["files"]:
            text = (
                f"the files beside the weights of {mine['name']} are not those that it was made "
                "of: what they say is not compared"
            )
            yield Finding("metadata", UNCHECKED, text, METADATA)
            return
    differs = next((path for path, _, _ in differences(found, again)), None)
    if differs is None:
        text = "the files beside the weights, read again, say what it tells of them"
        yield Finding("metadata", OK, text, METADATA)
        return
    text = f"{differs} is another than the files beside the weights, read again, give"
    if found.get("tool") != again["tool"]:
        text += f": it was made by {found.get('tool')}, and this is {again['tool']}"
        yield Finding("metadata", UNCHECKED, text, METADATA)
    else:
        yield Finding("metadata", FAILED, text, METADATA)


def _read(folder: Folder) -> dict[str, Any]:
    try:
        found = json.loads(folder.files[METADATA])
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{METADATA}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise EvidenceError(f"{METADATA}: holds no object")
    return found
