"""Puts what a card claims beside what the other checkpoints' files, and the weights, say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.checkpoint import Checkpoint
    from parentage.metadata.said import Said

STANDINGS = ("agrees", "contradicts", "not decided", "not tested")
"""What weights say of a claim: the same, something else, something that does not settle it, or
nothing at all."""

COUNT_TOLERANCE = 0.15
"""Share by which a claimed number of parameters may differ from the elements in headers: sizes in
names are rounded."""

RELATIONS = {
    "merge": ("merge", "merge-then-changed", "assembled"),
    "finetune": ("fine-tune",),
    "quantized": ("re-encoded",),
}
"""The hub's words for ``base_model_relation``, and the kinds of verdicts that say the same."""

_OF_ORIGIN = ("identical", "re-encoded", "merge", "merge-then-changed", "fine-tune", "assembled")
"""Kinds of verdicts that name what a child is, or is made of."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the child's files, beside what else is said of it."""

    field: str
    claim: str
    source: str
    metadata: str
    """What the other checkpoints' files say of it."""
    standing: str
    """One of :data:`STANDINGS`."""
    weights: str
    """What the verdict on the weights says of it, or why nothing does."""

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {
            "field": self.field,
            "claim": self.claim,
            "source": self.source,
            "metadata": self.metadata,
            "weights": {"standing": self.standing, "text": self.weights},
        }


def is_called(claim: str, name: str) -> bool:
    """Return whether a claimed model may be a checkpoint by its name.

    >>> is_called("Qwen/Qwen3-0.6B", "Qwen3-0.6B"), is_called("a/model", "b/model")
    (True, False)
    """

    def parts(text: str) -> list[str]:
        text = text.strip().rstrip("/").partition("@")[0]
        return [re.sub(r"[^a-z0-9]+", "", each.lower()) for each in text.split("/") if each]

    one, other = parts(claim), parts(name)
    length = min(len(one), len(other))
    return length > 0 and one[-length:] == other[-length:]


def sources_of(evidence: Mapping[str, Any]) -> list[str]:
    """Return the checkpoints that a verdict says the child is, or is made of."""
    verdict, recipe = evidence["verdict"], evidence.get("recipe")
    if verdict["kind"] not in _OF_ORIGIN:
        return []
    found: list[str] = []
    if recipe and verdict["kind"] in ("merge", "merge-then-changed", "assembled"):
        for each in recipe["parents"]:
            weight = each.get("effective_weight", each.get("weight"))
            if weight != 0:
                found.append(each["name"])
        found += [x for x in recipe.get("sources", {}).values() if isinstance(x, str)]
    named = verdict["numbers"].get("parent")
    if not found and isinstance(named, str):
        found.append(named)
    return sorted(set(found))


@dataclass(frozen=True)
class Table:
    """Makes the table of claims of a child."""

    child: Said
    others: Sequence[Said]
    checkpoint: Checkpoint
    evidence: Mapping[str, Any] | None

    @property
    def names(self) -> list[str]:
        """The names of the other checkpoints."""
        return [each.checkpoint for each in self.others]

    def claims(self) -> list[Claim]:
        """Return every claim, in the order of fields."""
        return [
            *self._base_models(),
            *self._relation(),
            *self._from_scratch(),
            *self._licence(),
            *self._parameters(),
            *self._recipes(),
        ]

    def _named(self, claim: str) -> list[str]:
        return [name for name in self.names if is_called(claim, name)]

    def _others_say(self, field: str) -> str:
        said = [
            f"{each.checkpoint}: {_shown(each.card.fields[field])}"
            for each in self.others
            if each.card is not None and field in each.card.fields
        ]
        return "; ".join(said) or "no other card has this field"

    def _verdict(self) -> str:
        assert self.evidence is not None
        verdict = self.evidence["verdict"]
        sources = sources_of(self.evidence)
        named = f", and names {', '.join(sources)}" if sources else ""
        return f"the verdict on the weights is {verdict['kind']} ({verdict['level']}){named}"

    def _base_models(self) -> list[Claim]:
        card = self.child.card
        if card is None:
            return []
        claimed = card.base_models
        if not claimed:
            text = "nothing is claimed"
            if self.evidence is not None:
                text += f"; {self._verdict()}"
            return [
                Claim("base_model", "none", self.child.card_file, self._others_say("base_model"),
                      "not tested", text)
            ]  # fmt: skip
        found = []
        sources = [] if self.evidence is None else sources_of(self.evidence)
        for each in claimed:
            same = self._named(each)
            metadata = (
                f"{', '.join(same)} {'is' if len(same) == 1 else 'are'} called so"
                if same
                else "no checkpoint that was offered is called so"
            )
            standing, text = self._of_base(each, same, sources)
            found.append(Claim("base_model", each, self.child.card_file, metadata, standing, text))
        if self.evidence is not None:
            for name in sources:
                if not any(is_called(each, name) for each in claimed):
                    found.append(
                        Claim("base_model", f"{name} is not named", self.child.card_file,
                              "", "contradicts" if self._is_directed(name) else "not decided",
                              self._verdict() + self._direction(name))
                    )  # fmt: skip
        return found

    def _of_base(self, claim: str, same: Sequence[str], sources: Sequence[str]) -> tuple[str, str]:
        if self.evidence is None:
            return "not tested", "no evidence of weights was given"
        kind = self.evidence["verdict"]["kind"]
        if not same:
            return "not tested", f"{claim} was not compared under this name; {self._verdict()}"
        if any(self._relation_of(name) == "descendant" for name in same):
            return "contradicts", f"it descends from the child; {self._verdict()}"
        if any(name in sources for name in same):
            return "agrees", self._verdict() + self._direction(same[0])
        if any(self._relation_of(name) == "ancestor" for name in same):
            return "agrees", f"it is an ancestor of the child; {self._verdict()}"
        if kind == "unrelated":
            return "contradicts", self._verdict()
        if sources:
            return "not decided", f"it is not what the weights name; {self._verdict()}"
        return "not decided", self._verdict()

    def _relation_of(self, name: str) -> str | None:
        assert self.evidence is not None
        return next(
            (x["relation"] for x in self.evidence["relations"] if x["checkpoint"] == name), None
        )

    def _is_directed(self, name: str) -> bool:
        return self._relation_of(name) == "ancestor"

    def _direction(self, name: str) -> str:
        return "" if self._is_directed(name) else "; which of the two is older was not decided"

    def _relation(self) -> list[Claim]:
        card = self.child.card
        claimed = None if card is None else card.fields.get("base_model_relation")
        if claimed is None:
            return []
        standing, text = "not tested", "no evidence of weights was given"
        if self.evidence is not None:
            kind, text = self.evidence["verdict"]["kind"], self._verdict()
            if claimed not in RELATIONS:
                text = f"{claimed} is no relation that a verdict has a word for; {text}"
            elif kind in RELATIONS[str(claimed)]:
                standing = "agrees"
            elif kind in _OF_ORIGIN or kind == "unrelated":
                standing = "contradicts"
            else:
                standing = "not decided"
        return [
            Claim("base_model_relation", _shown(claimed), self.child.card_file,
                  self._others_say("base_model_relation"), standing, text)
        ]  # fmt: skip

    def _from_scratch(self) -> list[Claim]:
        card = self.child.card
        if card is None:
            return []
        found = []
        for quote in card.from_scratch:
            standing, text = "not tested", "no evidence of weights was given"
            if self.evidence is not None:
                kind, text = self.evidence["verdict"]["kind"], self._verdict()
                older = [x for x in sources_of(self.evidence) if self._is_directed(x)]
                if older:
                    standing = "contradicts"
                elif kind == "unrelated":
                    standing = "agrees"
                    text += ": with none of those offered, which is all that was tested"
                else:
                    standing = "not decided"
                    text += "; which came first was not decided"
            found.append(
                Claim("trained from scratch", quote, self.child.card_file,
                      "no file of another checkpoint speaks of it", standing, text)
            )  # fmt: skip
        return found

    def _licence(self) -> list[Claim]:
        card = self.child.card
        claimed = None if card is None else card.fields.get("license")
        if claimed is None and not self.child.licences:
            return []
        texts = [f"{x.file}: {x.recognised or 'not recognised'}" for x in self.child.licences]
        said = []
        for each in self.others:
            theirs = None if each.card is None else each.card.fields.get("license")
            known = sorted({x.recognised for x in each.licences if x.recognised})
            words = [*([] if theirs is None else [_shown(theirs)]), *known]
            if words:
                said.append(f"{each.checkpoint}: {', '.join(words)}")
        return [
            Claim(
                "license",
                "; ".join([*([_shown(claimed)] if claimed is not None else []), *texts]),
                self.child.card_file if claimed is not None else "licence files",
                "; ".join(said) or "no other checkpoint has a licence beside it",
                "not tested",
                "weights say nothing of licences",
            )
        ]

    def _parameters(self) -> list[Claim]:
        card = self.child.card
        if card is None:
            return []
        elements = self.checkpoint.elements
        found = []
        for said, number in card.parameters:
            text = f"the child's headers hold {elements:,} elements"
            if self.checkpoint.encodings:
                standing = "not tested"
                text += ", some of them codes of several numbers"
            else:
                close = abs(number - elements) <= COUNT_TOLERANCE * max(elements, 1)
                standing = "agrees" if close else "not decided"
                text += "" if close else ", which is another number"
            found.append(
                Claim("parameters", said, self.child.card_file,
                      "a card may speak of other models, too", standing, text)
            )  # fmt: skip
        return found

    def _recipes(self) -> list[Claim]:
        found = []
        sources = [] if self.evidence is None else sources_of(self.evidence)
        for each in self.child.claimed:
            same = self._named(each["model"])
            weight = "" if each["weight"] is None else f", weight {_shown(each['weight'])}"
            metadata = (
                f"{', '.join(same)} is called so" if same
                else "no checkpoint that was offered is called so"
            )  # fmt: skip
            standing, text = self._of_base(each["model"], same, sources)
            text += self._weight_of(same, each["weight"])
            found.append(
                Claim(
                    "recipe", f"{each['model']}{weight}", each["source"], metadata, standing, text
                )
            )
        return found

    def _weight_of(self, same: Sequence[str], claimed: Any) -> str:
        recipe = None if self.evidence is None else self.evidence.get("recipe")
        if not recipe or claimed is None:
            return ""
        for each in recipe["parents"]:
            if each["name"] in same and isinstance(each.get("weight"), (int, float)):
                return f"; its weight there is {each['weight']:g}"
        return ""


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else ", ".join(map(str, value)) if (
        isinstance(value, list)
    ) else str(value)  # fmt: skip
    return text[:300]
