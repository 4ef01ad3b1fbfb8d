"""Whether a bundle agrees with itself: each number that can be made again of others is."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from parentage import _core
from parentage.bundle import (
    CUSTODY,
    EVIDENCE,
    FACTS,
    METADATA,
    RECIPE,
    STATEMENTS,
    SUMS,
    Assumed,
    read_custody,
    read_document,
    read_file,
    recipe_yaml,
    statements_of,
)
from parentage.evidence import (
    CONSTANTS,
    tool_entry,
    verdict_entry,
)
from parentage.methods import from_json, to_mergekit
from parentage.support import EvidenceError, ParentageError, RecipeError, is_there, percent
from parentage.verdict import (
    Thresholds,
    decide,
    decided_relations,
    restored_facts,
)
from parentage.verify.circumstance import check_said
from parentage.verify.comparing import held
from parentage.verify.finding import FAILED, OK, UNCHECKED, Finding, guarded
from parentage.verify.keys import check_keys
from parentage.verify.sums import check_sums

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from parentage.bundle import Document
    from parentage.verdict import Facts
    from parentage.verify.folder import Folder


def check_consistency(folder: Folder) -> Iterator[Finding]:
    """Check everything that can be checked without the checkpoints.

    Files that are not what the manifest says are left out: that is a finding of its own.

    Raises
    ------
    EvidenceError
        If there is no document, or it is of a schema that is not read.
    """
    if EVIDENCE not in folder.files:
        return
    document = read_document(folder.files[EVIDENCE], EVIDENCE)
    told: dict[str, Any] = json.loads(folder.files[EVIDENCE])
    facts: list[Facts] = []
    found = guarded("document", EVIDENCE, _check_document, folder, document, told)
    found += guarded("keys", EVIDENCE, check_keys, told)
    found += guarded("verdict", FACTS, _check_verdict, folder, document, told, facts)
    found += guarded("sums", SUMS, check_sums, folder, document, told, facts)
    found += guarded("recipe", RECIPE, _check_recipe, folder, document, told, facts)
    found += guarded("statements", STATEMENTS, _check_statements, folder)
    found += guarded("metadata", METADATA, check_said, folder, document)
    yield from found if _is_ours(document) else (_of_another(each, document) for each in found)
    yield from _check_custody(folder)


OF_VERSIONS = ("keys", "thresholds", "verdict", "assumed", "facts", "recipe", "statements")
"""Checks that rest on what another version may do otherwise."""


def _of_another(each: Finding, document: Document) -> Finding:
    """Return a finding on evidence that another version made: what differs may be the version's."""
    if each.status != FAILED or each.check not in OF_VERSIONS:
        return each
    tool = document.tool
    text = (
        f"{each.text}: it was made by parentage {tool.version} (arithmetic {tool.arithmetic}), and "
        f"this is {_core.__version__} ({_core.DEFINITION}); that version tells whether it was "
        "altered"
    )
    return replace(each, status=UNCHECKED, text=text)


def _check_document(
    folder: Folder, document: Document, told: Mapping[str, Any]
) -> Iterator[Finding]:
    again = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    names = [each.name for _, each in document.inputs.by_role]
    thresholds: dict[str, tuple[Any, Any]]
    if again.encode() != folder.files[EVIDENCE]:
        yield Finding("document", FAILED, "is not written as documents are", EVIDENCE)
    elif len(set(names)) < len(names):
        yield Finding("document", FAILED, "inputs: two checkpoints have one name", EVIDENCE)
    else:
        text = f"is of {document.schema}, and written as those are"
        yield Finding("document", OK, text, EVIDENCE)
    own = {name: getattr(Thresholds(), name) for name in Thresholds.__slots__}
    thresholds = {"parameters.thresholds": (document.parameters.thresholds, own)}
    for name, value in CONSTANTS.items():
        thresholds[f"parameters.{name}"] = told["parameters"].get(name), value
    if _is_ours(document):
        # Which device computed changes nothing else.
        tool = {key: value for key, value in told["tool"].items() if key != "device"}
        thresholds["tool"] = tool, tool_entry()
    yield from held("thresholds", EVIDENCE, thresholds, "thresholds are those of the rules")
    for _, each in document.inputs.by_role:
        if each.source is None and any(file.published_sha256 for file in each.files):
            text = f"{each.name} has published digests, and was published nowhere"
            yield Finding("document", FAILED, text, EVIDENCE)


def _is_ours(document: Document) -> bool:
    """Return whether this version of the rules and the arithmetic made the evidence."""
    tool = document.tool
    return (tool.version, tool.arithmetic) == (_core.__version__, _core.DEFINITION)


def _check_verdict(
    folder: Folder, document: Document, told: Mapping[str, Any], kept: list[Facts]
) -> Iterator[Finding]:
    if FACTS not in folder.files:
        yield Finding(
            "verdict", UNCHECKED, "is not at hand: the verdict is not decided again", FACTS
        )
        return
    try:
        data = json.loads(folder.files[FACTS])
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{FACTS}: not JSON: {error}") from error
    facts = restored_facts(data, FACTS)
    verdict = decide(facts)
    kept.append(facts)
    again = verdict_entry(verdict)
    relations = [each.as_dict() for each in decided_relations(facts, verdict)]
    pairs = {f"verdict.{name}": (told["verdict"].get(name), again[name]) for name in again}
    pairs["relations"] = told["relations"], relations
    holds = (
        f"decided again from {FACTS}, the rules say the same: {verdict.kind} ({verdict.level}), by "
        f"{verdict.rule}"
    )
    yield from held("verdict", EVIDENCE, pairs, holds)
    yield from _check_assumed(document, facts)
    yield from _check_coverage(document, facts)


def _check_assumed(document: Document, facts: Facts) -> Iterator[Finding]:
    """Hold what was assumed against what the verdict says of it."""
    assumed = document.assumed
    if assumed is None:
        # Whoever takes it out leaves the verdict that tells of it.
        told = [Assumed(None, given, []).sentences[0] for given in (False, True)]
        if any(each in facts.remarks for each in told):
            yield Finding("assumed", FAILED, "is not there, and the verdict tells of it", EVIDENCE)
        return
    names = {each.name for _, each in document.inputs.by_role[1:]}
    sentences = assumed.sentences
    pairs = {
        "assumed, in sentences": (list(facts.remarks[: len(sentences)]), list(sentences)),
        "assumed, not among inputs": (
            sorted({each.name for each in assumed.checkpoints} - names),
            [],
        ),
    }
    yield from held("assumed", EVIDENCE, pairs, "what was assumed is what the verdict says")


def _check_coverage(document: Document, facts: Facts) -> Iterator[Finding]:
    """Hold what the document says of coverage and checkpoints against the facts."""
    inputs, coverage, wholes = document.inputs, document.coverage, facts.wholes
    sample = None if facts.sample is None else facts.sample.as_dict()
    pairs: dict[str, tuple[Any, Any]] = {
        "inputs.child.name": (inputs.child.name, facts.child),
        "inputs.child.elements": (inputs.child.elements, wholes.child_elements),
        "coverage.elements": (coverage.elements, wholes.child_elements),
        "coverage.slices": (coverage.slices, wholes.slices),
        "coverage.main": (coverage.main, list(wholes.main)),
        "coverage.origin": (coverage.origin, facts.base),
        "coverage.of": (coverage.of, {name: one.share for name, one in wholes.by_name.items()}),
        "coverage.share": (
            coverage.share,
            coverage.elements_read / max(inputs.child.elements, 1),
        ),
        "parameters.sample": (document.parameters.sample, sample),
        "inputs, by name": (
            [each.name for _, each in inputs.by_role[1:]],
            list(wholes.by_name),
        ),
    }
    if (called := inputs.called) is not None:
        names = sorted([called.base, *called.parents, *called.controls])
        pairs["inputs.called, by name"] = names, sorted(wholes.by_name)
    for each in inputs.by_role[1:]:
        one = wholes.by_name.get(each[1].name)
        # Of what was compared in another order, some is counted several times.
        if one is not None and not one.is_reordered:
            pairs[f"inputs: tensors and elements of {one.name}"] = (
                [each[1].tensors, each[1].elements],
                [one.tensors, one.elements],
            )
    if facts.sample is None:
        pairs["coverage.elements_read"] = coverage.elements_read, wholes.compared
    replay, recipe = facts.replay, document.recipe
    pairs["recipe: elements, mismatches, explained"] = (
        None if recipe is None else [recipe.elements, recipe.mismatches, recipe.explained],
        None if replay is None else [replay.elements, replay.mismatched, replay.explained],
    )
    if replay is not None and recipe is not None:
        decoy = replay.decoy_share if math.isfinite(replay.decoy_share) else None
        pairs["recipe.decoy_share"] = recipe.decoy_share, decoy
        pairs["recipe.explained_share"] = (
            recipe.explained_share,
            replay.explained / replay.elements if replay.elements else 0.0,
        )
        pairs["recipe.equivalents"] = recipe.equivalents, list(replay.equivalents)
    yield from held("coverage", EVIDENCE, pairs, f"coverage is what {FACTS} says of it")


def _check_recipe(
    folder: Folder, document: Document, told: Mapping[str, Any], kept: Sequence[Facts]
) -> Iterator[Finding]:
    if document.recipe is None:
        if RECIPE in folder.files:
            yield Finding("recipe", FAILED, "is there, and the evidence has no recipe", RECIPE)
        return
    try:
        recipe = from_json(json.dumps(told["recipe"]), f"{EVIDENCE}: recipe")
    except RecipeError as error:
        yield Finding("recipe", FAILED, str(error).removeprefix(f"{EVIDENCE}: "), EVIDENCE)
        return
    found = document.recipe
    exact = (found.elements - found.mismatches - found.explained) / max(found.elements, 1)
    try:
        mergekit: str | None = to_mergekit(recipe)
    except RecipeError:
        mergekit = None
    effective = recipe.effective_weights
    pairs: dict[str, tuple[Any, Any]] = {
        "recipe.exact_share": (found.exact_share, exact),
        "recipe.mergekit": (found.mergekit, mergekit),
        "recipe.parents: effective weights": (
            [each.effective_weight for each in found.parents],
            [None if effective is None else effective[each.name] for each in found.parents],
        ),
    }
    if kept and (replay := kept[0].replay) is not None:
        # What the verdict says of the recipe is what the facts have of it.
        pairs["recipe, in words"] = recipe.describe(), replay.text
    holds = f"the recipe gives {percent(found.exact_share)} of the elements replayed"
    yield from held("recipe", EVIDENCE, pairs, holds)
    if RECIPE not in folder.files:
        yield Finding("recipe", FAILED, "is missing, and the evidence has a recipe", RECIPE)
    elif folder.files[RECIPE] != recipe_yaml(recipe).encode():
        yield Finding("recipe", FAILED, f"is not the recipe of {EVIDENCE}", RECIPE)
    else:
        yield Finding("recipe", OK, f"is the recipe of {EVIDENCE}", RECIPE)


def _check_statements(folder: Folder) -> Iterator[Finding]:
    again = statements_of(folder.files)
    found = folder.files.get(STATEMENTS)
    if again is None and found is None:
        text = "there are none: no digests were asked for, so the evidence names files by size"
        yield Finding("statements", UNCHECKED, text, EVIDENCE)
    elif again is None:
        yield Finding("statements", FAILED, "are of files that have no digests", STATEMENTS)
    elif found is None:
        yield Finding("statements", FAILED, "are missing, and there are digests", STATEMENTS)
    elif found != again:
        yield Finding("statements", FAILED, "are not those on this evidence", STATEMENTS)
    else:
        count = found.count(b"\n")
        text = f"{count} say what this evidence says, of the files that it names"
        yield Finding("statements", OK, text, STATEMENTS)


def _check_custody(folder: Folder) -> Iterator[Finding]:
    path = folder.path / CUSTODY
    if not is_there(path):
        text = "is missing: who made this evidence, when and where is not told"
        yield Finding("custody", UNCHECKED, text, CUSTODY)
        return
    try:
        entries = read_custody(read_file(path), CUSTODY)
    except ParentageError as error:
        yield Finding("custody", FAILED, str(error).removeprefix(f"{CUSTODY}: "), CUSTODY)
        return
    # Whoever verifies changes nothing, and may have seen files that had been changed.
    known = [each.get("manifest") for each in entries if each["action"] != "verify"]
    if not known or known[-1] != folder.manifest:
        text = "the last entry of whoever wrote is of other files than these: they were changed"
        yield Finding("custody", FAILED, text, CUSTODY)
    else:
        count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
        text = f"{count}, unaltered, and the last of whoever wrote is of these files"
        yield Finding("custody", OK, text, CUSTODY)
