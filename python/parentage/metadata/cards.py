"""Reads what a model card claims: its front matter, and a few sentences of its text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parentage.metadata.documents import front_matter, plain

if TYPE_CHECKING:
    from typing import Any

FIELDS = (
    "base_model",
    "base_model_relation",
    "license",
    "license_name",
    "license_link",
    "model_name",
    "library_name",
    "pipeline_tag",
    "tags",
    "datasets",
    "language",
)
"""Fields of the front matter that are compared; their meaning: the hub's documentation of model
cards."""

_MOST_TEXT = 400_000
_MOST_QUOTES = 4

_SCRATCH = re.compile(
    r"\btrained\s+(?:entirely\s+|completely\s+)?from\s+(?:scratch|the\s+ground"
    r"\s+up)|\bfrom-scratch\b|treinad[oa]\s+do\s+zero|entrenad[oa]\s+desde\s+cero"
    r"|entraînée?\s+(?:de|depuis)\s+zéro|von\s+Grund\s+auf|从零|从头"
    r"|從零|ゼロから",
    re.IGNORECASE,
)

_COUNT = re.compile(
    r"(?<![\w.])(\d{1,4}(?:[.,]\d{1,3})?)\s?(T|B|M|K|trillion|billion|million|bilhões"
    r"|milhões)[\s-]+(?:total\s+|trainable\s+)?(?:param|parâmetros)",
    re.IGNORECASE,
)
_UNITS = {"t": 1e12, "b": 1e9, "m": 1e6, "k": 1e3}


@dataclass(frozen=True, slots=True)
class Card:
    """What a model card says."""

    fields: dict[str, Any]
    """Of the front matter, those of :data:`FIELDS`."""
    from_scratch: tuple[str, ...]
    """Sentences that say that it was trained from scratch."""
    parameters: tuple[tuple[str, float], ...]
    """Numbers of parameters as they are said, and what they are."""
    text: str
    """Below the front matter."""
    problems: tuple[str, ...]

    @property
    def base_models(self) -> tuple[str, ...]:
        """The models that it names as what it was made of."""
        return as_names(self.fields.get("base_model"))


def as_names(value: Any) -> tuple[str, ...]:
    """Return a name, or a list of such, as a tuple.

    >>> as_names("a"), as_names(["a", 3]), as_names(None)
    (('a',), ('a',), ())
    """
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def card_of(text: str) -> Card:
    """Return what a card says.

    >>> card = card_of("---\\nlicense: mit\\n---\\nIt has 7.5 billion parameters.")
    >>> card.fields, card.parameters
    ({'license': 'mit'}, (('7.5 billion param', 7500000000.0),))
    """
    read, body = front_matter(text)
    body = body[:_MOST_TEXT]
    problems = list(read.problems)
    value = read.value
    if value is not None and not isinstance(value, dict):
        problems.append("its front matter is no mapping")
        value = None
    fields = {key: plain(value[key]) for key in FIELDS if value and key in value}
    counts: dict[str, float] = {}
    for found in _COUNT.finditer(body):
        said = found[1].replace(",", ".") if len(found[1].partition(",")[2]) != 3 else (
            found[1].replace(",", "")
        )  # fmt: skip
        counts.setdefault(found[0], float(said) * _UNITS[found[2][0].lower()])
    scratch = dict.fromkeys(_sentence(body, each) for each in _SCRATCH.finditer(body))
    return Card(
        fields,
        tuple(scratch)[:_MOST_QUOTES],
        tuple(counts.items())[:_MOST_QUOTES],
        body,
        tuple(problems),
    )


def _sentence(text: str, found: re.Match[str]) -> str:
    """Return the sentence that a match stands in, as far as it is near."""
    before = re.split(r"[.\n。]", text[max(found.start() - 120, 0) : found.start()])[-1]
    after = re.split(r"[.\n。]", text[found.end() : found.end() + 120])[0]
    return " ".join(f"{before}{found[0]}{after}".split())
