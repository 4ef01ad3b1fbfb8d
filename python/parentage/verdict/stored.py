"""Facts as data: what rules looked at, and what they were told where they asked for more.

Some facts are found only when a rule asks for them, since that reads elements. A verdict is decided
again from what was kept of them, without the checkpoints: the same rules ask the same, and are told
the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from parentage.align import LayerBlend
from parentage.descent import BothWays, OwnValues
from parentage.methods import from_json
from parentage.places import Change
from parentage.recipe import Addition, Recipe
from parentage.sample import Sampled
from parentage.support import EvidenceError, Plain, RecipeError
from parentage.verdict.case import Added, QuantisedBlend, Requantised
from parentage.verdict.changes import Changes
from parentage.verdict.facts import Facts, ReplayFacts, SharedSlices
from parentage.verdict.invariants import Invariants
from parentage.verdict.residual import Residual
from parentage.verdict.structure import Structure
from parentage.verdict.thresholds import Thresholds
from parentage.verdict.wholes import Whole, Wholes

FACTS_SCHEMA = "parentage.facts/2"
"""Version of what is stored: it goes up when a fact changes its meaning."""

_WHOLES = "constants"

_ASKED: dict[str, tuple[Any, Any]] = {
    "crossed": (tuple[()], Mapping[str, float]),
    "remainder": (tuple[()], Residual | None),
    "displacement": (tuple[()], Residual | None),
    "angle": (tuple[str, str, str], float),
    "excess": (tuple[str, str, str], float),
    "changes": (tuple[str | None, int], tuple[tuple[str, int, Change], ...]),
    "changes_of_blend": (
        tuple[tuple[float, ...], int],
        tuple[tuple[str, int, Change], ...],
    ),
    "structure": (tuple[()], Structure | None),
    "invariants": (tuple[()], Invariants | None),
    "blends_of_layers": (tuple[str, frozenset[int]], tuple[LayerBlend, ...]),
    _WHOLES: (tuple[()], int),
}
"""What rules may ask for, by name: the types of what they say, and of what they are told."""

_TYPES: dict[str, Any] = {
    "Added": Added,
    "Addition": Addition,
    "BothWays": BothWays,
    "Callable": Callable,
    "Change": Change,
    "Changes": Changes,
    "Invariants": Invariants,
    "LayerBlend": LayerBlend,
    "Mapping": Mapping,
    "OwnValues": OwnValues,
    "QuantisedBlend": QuantisedBlend,
    "Recipe": Recipe,
    "Requantised": Requantised,
    "Residual": Residual,
    "Sampled": Sampled,
    "ReplayFacts": ReplayFacts,
    "SharedSlices": SharedSlices,
    "Structure": Structure,
    "Thresholds": Thresholds,
    "Whole": Whole,
    "Wholes": Wholes,
}


@dataclass(slots=True)
class Asked:
    """What rules asked for beyond the numbers that were there, and what they were told."""

    answers: dict[str, dict[tuple[Any, ...], Any]] = field(default_factory=dict)


def watched(facts: Facts) -> tuple[Facts, Asked]:
    """Return facts that remember what they are asked, and what they remember."""
    asked = Asked()

    def remembering(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def told(*said: Any) -> Any:
            answer = ask(*said)
            asked.answers.setdefault(name, {})[said] = answer
            return answer

        return told

    return _with_answers(facts, lambda name, ask: remembering(name, ask)), asked


def stored_facts(facts: Facts, asked: Asked) -> dict[str, Any]:
    """Return facts, and what was asked of them, as JSON holds them.

    The same facts give the same, whatever the order in which they were asked.
    """
    plain = _plain(facts.names)
    answers: dict[str, list[list[Any]]] = {}
    for name in sorted(asked.answers):
        pairs = [
            [[plain.write(each) for each in said], plain.write(told)]
            for said, told in asked.answers[name].items()
        ]
        answers[name] = sorted(pairs, key=lambda pair: json.dumps(pair[0]))
    told = plain.write(facts)
    told.pop("names")
    return {
        "schema": FACTS_SCHEMA,
        "names": list(facts.names),
        "facts": told,
        "asked": answers,
    }


def restored_facts(data: Any, where: str = "facts.json") -> Facts:
    """Return the facts that were stored; ``where`` names the file in errors.

    Raises
    ------
    EvidenceError
        If they are of another version, or are no facts. Asked for what was not kept, they raise it
        as well: whoever decided asked for nothing else.
    """
    if not isinstance(data, dict) or data.keys() != {"schema", "names", "facts", "asked"}:
        raise EvidenceError(f"{where}: holds no facts of a trace")
    if data["schema"] != FACTS_SCHEMA:
        raise EvidenceError(
            f"{where}: is of the schema {data['schema']!r}, and this version reads {FACTS_SCHEMA}"
        )
    try:
        names = Plain().read(tuple[str, ...], data["names"], "names")
        plain = _plain(names)
        if not isinstance(data["facts"], dict):
            raise ValueError("facts: no object")
        facts: Facts = plain.read(Facts, {**data["facts"], "names": data["names"]}, "facts")
        answers = _restored_answers(data["asked"], plain)
    except (ValueError, RecipeError, RecursionError) as error:
        raise EvidenceError(f"{where}: {error}") from error

    def remembered(name: str, _: Callable[..., Any]) -> Callable[..., Any]:
        known = answers.get(name, {})

        def told(*said: Any) -> Any:
            if said not in known:
                raise EvidenceError(
                    f"{where}: the rules ask for {name}{said!r}, which was not kept: these are not "
                    "the facts that the verdict was decided by"
                )
            return known[said]

        return told

    return _with_answers(facts, remembered)


def _restored_answers(data: Any, plain: Plain) -> dict[str, dict[tuple[Any, ...], Any]]:
    out: dict[str, dict[tuple[Any, ...], Any]] = {}
    if not isinstance(data, dict):
        raise ValueError("asked: no object")
    for name, pairs in data.items():
        if name not in _ASKED:
            raise ValueError(f"asked: has {name!r}, which is not known here")
        said, told = _ASKED[name]
        found = plain.read(tuple[tuple[said, told], ...], pairs, f"asked.{name}")  # type: ignore[valid-type]
        out[name] = dict(found)
    return out


def _with_answers(
    facts: Facts, answering: Callable[[str, Callable[..., Any]], Callable[..., Any]]
) -> Facts:
    """Return facts whose functions are others."""
    changed: dict[str, Any] = {
        each.name: answering(each.name, getattr(facts, each.name))
        for each in fields(facts)
        if each.name in _ASKED
    }
    wholes = replace(facts.wholes, constants=answering(_WHOLES, facts.wholes.constants))
    return replace(facts, wholes=wholes, **changed)


def _plain(names: tuple[str, ...]) -> Plain:
    return Plain(_TYPES, names, {Recipe: (_recipe, _restored_recipe)})


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return recipe.as_dict()


def _restored_recipe(data: Any) -> Recipe:
    return from_json(json.dumps(data), "recipe")
