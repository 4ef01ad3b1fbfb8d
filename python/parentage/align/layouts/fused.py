"""Tensors that hold several others, one behind the other: fused projections, stacked experts.

Only what lies in one piece is taken apart, so that nothing is copied: halves and thirds of rows,
and leading indices. What is interleaved or transposed is none of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """How a tensor that holds several is called, and how those are."""

    fused: str
    """A regular expression of the whole name; its groups are what the parts' names begin with, and
    how they end."""
    parts: tuple[tuple[str, ...], ...]
    """The names of the parts, in order, between these; several spellings of each."""
    stacked: bool = False
    """Whether the first index counts experts, each of which has the parts."""
    source: str = ""
    """Where the layout is defined."""


GATE_UP = (("gate_proj", "w1"), ("up_proj", "w3"))
DOWN = (("down_proj", "w2"),)
QKV = (("q_proj", "query", "q"), ("k_proj", "key", "k"), ("v_proj", "value", "v"))

RULES = (
    Rule(
        r"(.*\.experts)\.gate_up_proj(?:\.weight)?()",
        GATE_UP,
        stacked=True,
        source="transformers, modeling_qwen3_5_moe.py and modeling_mixtral.py: (experts, 2 x "
        "intermediate, hidden), gate first; vLLM splits by chunk(2, dim=-2)",
    ),
    Rule(
        r"(.*\.experts)\.down_proj(?:\.weight)?()",
        DOWN,
        stacked=True,
        source="the same files: (experts, hidden, intermediate)",
    ),
    Rule(
        r"(.*)\.(?:gate_up_proj)\.(weight|bias)",
        GATE_UP,
        source="transformers, modeling_phi3.py: gate_up_proj.chunk(2, dim=-1), gate first",
    ),
    Rule(
        r"(.*)\.(?:qkv_proj|qkv|Wqkv)\.(weight|bias)",
        QKV,
        source="transformers, modeling_phi3.py and vision towers: rows of q, then k, then v",
    ),
    Rule(
        r"(.*)\.in_proj_(weight|bias)",
        QKV,
        source="torch.nn.MultiheadAttention: rows of q, then k, then v",
    ),
)
"""The layouts that are known, the first that fits counts."""


def family(name: str) -> str:
    """Return what a fused tensor has in common with all of its pieces: a name for them together.

    Another tensor's is its own name.

    >>> family("m.experts.3.up_proj.weight") == family("m.experts.gate_up_proj")
    True
    >>> family("m.q_proj.bias"), family("m.o_proj.bias")
    ('m.[q_proj+k_proj+v_proj].bias', 'm.o_proj.bias')
    """
    for rule, piece in _PIECES:
        match = re.fullmatch(rule.fused, name) or piece.fullmatch(name)
        if match is not None:
            parts = "+".join(part[0] for part in rule.parts)
            return f"{match[1]}.[{parts}].{match[2] or 'weight'}"
    return name


def _piece(rule: Rule) -> re.Pattern[str]:
    """Return an expression of the names of a rule's pieces, with the same groups as ``fused``."""
    spellings = "|".join(re.escape(each) for part in rule.parts for each in part)
    inside = r"(.*\.experts)\.\d+" if rule.stacked else "(.*)"
    ends = "(weight)" if rule.stacked else "(weight|bias)"
    return re.compile(rf"{inside}\.(?:{spellings})\.{ends}")


_PIECES = tuple((rule, _piece(rule)) for rule in RULES)


class Piece(NamedTuple):
    """Consecutive elements of a tensor that are a tensor of their own elsewhere."""

    name: str
    first: int
    """First element."""
    shape: tuple[int, ...]


def pieces(name: str, shape: Shape, shape_of: Callable[[str], Shape | None]) -> list[Piece] | None:
    """Return the pieces of a fused tensor under the names that another checkpoint has for them.

    ``shape_of`` says of a name which shape that one has. ``None`` if no rule fits, some piece is
    not there, or rows do not add up.

    >>> shapes = {"m.gate_proj.weight": (2, 3), "m.up_proj.weight": (2, 3)}
    >>> [tuple(each) for each in pieces("m.gate_up_proj.weight", (4, 3), shapes.get)]
    [('m.gate_proj.weight', 0, (2, 3)), ('m.up_proj.weight', 6, (2, 3))]
    """
    for rule in RULES:
        match = re.fullmatch(rule.fused, name)
        if match is not None:
            found = _pieces(rule, match[1], match[2], shape, shape_of)
            if found is not None:
                return found
    return None


def _pieces(
    rule: Rule,
    begin: str,
    end: str,
    shape: Shape,
    shape_of: Callable[[str], Shape | None],
) -> list[Piece] | None:
    """Return the pieces by one rule."""
    if rule.stacked and len(shape) != 3:
        return None
    inner = shape[1:] if rule.stacked else shape
    if not inner:
        return None
    begins = [f"{begin}.{expert}" for expert in range(shape[0])] if rule.stacked else [begin]
    row, at = prod(inner[1:]), 0
    out: list[Piece] = []
    for each in begins:
        for spellings in rule.parts:
            found = next(_present(each, spellings, end or "weight", shape_of), None)
            if found is None or found[1][1:] != inner[1:]:
                return None
            out.append(Piece(found[0], at, found[1]))
            at += found[1][0] * row
        if len(out) % len(rule.parts) or at % prod(inner):
            return None
    return out if at == prod(shape) else None


def _present(
    begin: str, spellings: tuple[str, ...], end: str, shape_of: Callable[[str], Shape | None]
) -> Iterator[tuple[str, Shape]]:
    """Yield the names that are there, of the ways to spell one, with their shapes."""
    for spelling in spellings:
        name = f"{begin}.{spelling}.{end}"
        shape = shape_of(name)
        if shape:
            yield name, shape
