"""The fields of a hub's model card that follow from the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from parentage.support import EvidenceError, printable

if TYPE_CHECKING:
    from typing import Any

    from parentage.bundle.document import Document
    from parentage.bundle.reading import Bundle

RELATIONS = ("adapter", "merge", "quantized", "finetune")
"""What ``base_model_relation`` may be."""


def model_card(bundle: Bundle) -> str:
    """Return ``base_model`` and ``base_model_relation``, with what they rest on as a comment.

    Checkpoints have the names of the evidence, which are those of a hub where they were read from
    its cache.

    Raises
    ------
    EvidenceError
        If the verdict names none that the child was made of.
    """
    document = bundle.document
    fields = card_fields(document)
    verdict = document.verdict
    head = f"# {printable(verdict.kind)} ({printable(verdict.level)}), by rule {verdict.rule}"
    if verdict.kind == "merge-then-changed":
        head += "; changed after it was merged"
    return f"{head}\n" + yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def card_fields(document: Document) -> dict[str, Any]:
    """Return the fields that follow, as data."""
    names, relation = _descent(document)
    ancestors = {each.checkpoint for each in document.relations if each.relation == "ancestor"}
    if not names:
        raise EvidenceError(
            f"no field of a card follows from the verdict {document.verdict.kind} "
            f"({document.verdict.rule}): it names nothing that {document.inputs.child.name} was "
            "made of"
        )
    names = [name for name in names if name in ancestors] or names
    fields: dict[str, Any] = {"base_model": names[0] if len(names) == 1 else names}
    return fields if relation is None else {**fields, "base_model_relation": relation}


def _descent(document: Document) -> tuple[list[str], str | None]:
    """Return what the child was made of, and how, in the words of the hub."""
    verdict, recipe = document.verdict, document.recipe
    known = [each.name for _, each in document.inputs.by_role[1:]]
    parent = verdict.numbers.get("parent")
    named = [parent] if isinstance(parent, str) and parent in known else []
    kind = verdict.kind
    if kind in ("merge", "merge-then-changed"):
        if recipe is not None:
            return [name for name in recipe.names if name in known], "merge"
        weights = {name: verdict.numbers.get(f"weight_{name}") for name in known}
        held = [name for name, x in weights.items() if isinstance(x, int | float) and abs(x) > 0.01]
        return held, "merge"
    if kind == "fine-tune":
        if recipe is not None and recipe.adapters:
            return [each["base"] for each in recipe.adapters.values()], "finetune"
        return named or [document.inputs.base.name], "finetune"
    if kind == "assembled":
        held = [name for name in known if verdict.numbers.get(f"slices_{name}")]
        return held, "merge" if len(held) > 1 else None
    if kind == "re-encoded":
        return named, "quantized" if verdict.rule == "quantised" else None
    if kind == "identical":
        return named, None
    return [], None
