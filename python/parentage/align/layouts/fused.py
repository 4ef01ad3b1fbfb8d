"""Tensors that hold several others: fused projections, stacked experts.

A rule says what holds what, and in which orders tools store it. Where names and shapes allow
several orders, a sample of values decides (:mod:`parentage.align.deciding`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

from parentage.align.layouts.heads import grouped, latent
from parentage.align.layouts.strides import Piece, Reading, heads_of, strides_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Shape = tuple[int, ...]
    ShapeOf = Callable[[str], Shape | None]


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
    by_heads: bool = False
    """Whether rows may also be those of each group of heads in turn: of each key's head the queries
    that it serves, the key and the value."""
    by_turns: bool = False
    """Whether rows of the parts may also take turns."""
    orders: Callable[..., Iterator[Reading]] | None = None
    """What yields the orders in which parts lie, where they are no rows or columns one behind the
    other: of what the parts' names begin with, the shape, the parts, and the shapes of others."""
    source: str = ""
    """Where the layout is defined."""


GATE_UP = (("gate_proj", "w1"), ("up_proj", "w3"))
DOWN = (("down_proj", "w2"),)
QKV = (("q_proj", "query", "q"), ("k_proj", "key", "k"), ("v_proj", "value", "v"))

RULES = (
    Rule(
        r"(.*\.experts)\.gate_up_proj(?:\.(weight|bias))?",
        GATE_UP,
        stacked=True,
        by_turns=True,
        source="transformers, modeling_qwen3_5_moe.py and modeling_mixtral.py: (experts, 2 x "
        "intermediate, hidden), gate first; vLLM splits by chunk(2, dim=-2); modeling_gpt_oss.py: "
        "(experts, hidden, 2 x intermediate), gate [..., ::2] and up [..., 1::2]; "
        "modeling_qwen3_vl_moe.py: the same shape, halves",
    ),
    Rule(
        r"(.*\.experts)\.down_proj(?:\.(weight|bias))?",
        DOWN,
        stacked=True,
        source="the same files: (experts, hidden, intermediate), or transposed; gguf, "
        "ffn_down_exps; mlx-lm, switch_layers.py",
    ),
    *(
        Rule(
            rf"(.*\.experts)\.{name}_proj(?:\.(weight|bias))?",
            ((f"{name}_proj",),),
            stacked=True,
            source=f"gguf, ffn_{name}_exps; mlx-lm, switch_layers.py",
        )
        for name in ("gate", "up")
    ),
    Rule(
        r"(.*\.linear_attn)\.in_proj_qkvz\.(weight)",
        (("in_proj_qkv",), ("in_proj_z",)),
        orders=grouped,
        source="transformers, modeling_qwen3_next.py, fix_query_key_value_ordering: of each head "
        "of keys its query, key, values and gates; modeling_qwen3_5.py: q, k, v of all heads, and "
        "z; vLLM, qwen3_5.py: the four one behind the other",
    ),
    Rule(
        r"(.*\.linear_attn)\.in_proj_ba\.(weight)",
        (("in_proj_b",), ("in_proj_a",)),
        orders=grouped,
        source="the same: of each head of keys b and a of its heads of values",
    ),
    Rule(
        r"(.*\.self_attn)\.kv_b_proj\.(weight)",
        (("k_b_proj",), ("v_b_proj",)),
        orders=latent,
        source="convert_hf_to_gguf.py, DeepseekV2Model: kv_b_proj as (heads, keys and values, "
        "latent), split, the keys transposed; llama.cpp absorbs them into queries and outputs",
    ),
    Rule(
        r"(.*)\.(?:gate_up_proj)\.(weight|bias)",
        GATE_UP,
        source="transformers, modeling_phi3.py: gate_up_proj.chunk(2, dim=-1), gate first",
    ),
    Rule(
        r"(.*)\.(?:qkv_proj|qkv|Wqkv)\.(weight|bias)",
        QKV,
        by_heads=True,
        source="transformers, modeling_phi3.py and vision towers: rows of q, then k, then v; "
        "modeling_gpt2.py: the same as columns; modeling_gpt_neox.py and modeling_bloom.py: q, k "
        "and v of each head in turn; modeling_internlm2.py and modeling_falcon.py: of each key's "
        "head its queries, the key, the value",
    ),
    Rule(
        r"(.*)\.in_proj_(weight|bias)",
        QKV,
        source="torch.nn.MultiheadAttention: rows of q, then k, then v",
    ),
    Rule(
        r"(.*)\.attn\.to_qkv\.(weight|bias)",
        (("attn.to_q",), ("attn.to_k",), ("attn.to_v",)),
        source="flux, layers.py, DoubleStreamBlock; sd3.5, mmditx.py: rows of q, then k, then v",
    ),
    Rule(
        r"(.*)\.attn\.add_qkv_proj\.(weight|bias)",
        (("attn.add_q_proj",), ("attn.add_k_proj",), ("attn.add_v_proj",)),
        source="the same files",
    ),
    Rule(
        r"(.*)\.attn\.to_qkv_mlp\.(weight|bias)",
        (("attn.to_q",), ("attn.to_k",), ("attn.to_v",), ("proj_mlp",)),
        source="flux, layers.py, SingleStreamBlock: linear1 is q, k, v, then the MLP's rows",
    ),
)  # fmt: skip
"""The layouts that are known, the first that fits counts."""


def family(name: str) -> str:
    """Return what a fused tensor has in common with all of its pieces: a name for them together.

    Another tensor's is its own name.

    >>> family("m.experts.3.up_proj.weight") == family("m.experts.gate_up_proj")
    True
    >>> family("m.q_proj.bias"), family("m.o_proj.bias")
    ('m.[q_proj+k_proj+v_proj].bias', 'm.o_proj.bias')
    """
    begin, inside, end = name.partition(".experts.")
    number, dot, rest = end.partition(".")
    if inside and dot and number.isdigit():
        # Experts are all of one family.
        return _family(f"{begin}{inside}0.{rest}")
    return _family(name)


@lru_cache(maxsize=1 << 15)
def _family(name: str) -> str:
    if _ANY.search(name) is None:
        return name
    for rule, whole, piece in _PIECES:
        match = whole.fullmatch(name) or piece.fullmatch(name)
        if match is not None:
            parts = "+".join(part[0] for part in rule.parts)
            return f"{match[1]}.[{parts}].{match[2] or 'weight'}"
    return name


def _piece(rule: Rule) -> re.Pattern[str]:
    """Return an expression of the names of a rule's pieces, with the same groups as ``fused``."""
    spellings = "|".join(re.escape(each) for part in rule.parts for each in part)
    inside = r"(.*\.experts)(?:\.\d+)?" if rule.stacked else "(.*)"
    ends = "(weight|bias)"
    return re.compile(rf"{inside}\.(?:{spellings})(?:\.{ends})")


_PIECES = tuple((rule, re.compile(rule.fused), _piece(rule)) for rule in RULES)
_ANY = re.compile(r"q|k|v|w[123]\b|gate|up_proj|down_proj|mlp|in_proj")
"""What names hold that any rule is about."""


def may_be_fused(name: str) -> bool:
    """Return whether a tensor of a name may hold several others.

    >>> may_be_fused("m.qkv_proj.weight"), may_be_fused("m.o_proj.weight")
    (True, False)
    >>> may_be_fused("m.experts.up_proj.weight"), may_be_fused("m.experts.7.up_proj.weight")
    (True, False)
    """
    # There may be a hundred thousand names: their ends are looked at first.
    parts = name.rsplit(".", 3)
    if parts[-1] in ("weight", "bias"):
        del parts[-1]
    if parts[-1] in ("gate_proj", "up_proj", "down_proj") and parts[-2:-1] != ["experts"]:
        return False
    return parts[-1] in _FUSED or any(whole.fullmatch(name) for _, whole, _ in _PIECES)


_FUSED = frozenset(("qkv_proj", "gate_up_proj", "gate_proj", "up_proj", "down_proj"))


def pieces(name: str, shape: Shape, shape_of: ShapeOf) -> list[Piece] | None:
    """Return the pieces of a fused tensor in the order that is documented first.

    ``shape_of`` says of a name which shape another checkpoint has for it. ``None`` if no rule fits,
    some piece is not there, or rows do not add up.

    >>> shapes = {"m.gate_proj.weight": (2, 3), "m.up_proj.weight": (2, 3)}
    >>> [tuple(each)[:3] for each in pieces("m.gate_up_proj.weight", (4, 3), shapes.get)]
    [('m.gate_proj.weight', 0, (2, 3)), ('m.up_proj.weight', 6, (2, 3))]
    """
    found = readings(name, shape, shape_of)
    return list(found[0].pieces) if found else None


def readings(name: str, shape: Shape, shape_of: ShapeOf) -> list[Reading]:
    """Return all ways in which a fused tensor may hold what another checkpoint has in pieces.

    Each has the same pieces, under the names that the other has for them.
    """
    for rule, whole, _ in _PIECES:
        match = whole.fullmatch(name)
        if match is not None:
            found = _readings(rule, match[1], match[2] or "weight", shape, shape_of)
            if found:
                return found
    return []


def _readings(rule: Rule, begin: str, end: str, shape: Shape, shape_of: ShapeOf) -> list[Reading]:
    """Return the readings by one rule."""
    if rule.orders is not None:
        found_parts = [_found(begin, part, end, shape_of) for part in rule.parts]
        known_parts = [part for part in found_parts if part is not None]
        if len(known_parts) < len(rule.parts) or not prod(shape):
            return []
        return list(rule.orders(begin, shape, known_parts, shape_of))
    least = (2 if end == "bias" else 3) if rule.stacked else 1
    if len(shape) < least or not prod(shape):
        return []
    inner = shape[1:] if rule.stacked else shape
    begins = [begin]
    if rule.stacked:
        each_expert = [f"{begin}.{expert}" for expert in range(min(shape[0], MOST_EXPERTS))]
        is_split = any(_found(each_expert[0], part, end, shape_of) for part in rule.parts)
        begins = each_expert if is_split else begins
    is_stack = rule.stacked and len(begins) == 1 and not _is_expert(begins[0])
    names: list[str] = []
    sizes: list[Shape] | None = None
    for each in begins:
        parts = [_found(each, part, end, shape_of) for part in rule.parts]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return []
        if is_stack and any(part[1][:1] != shape[:1] for part in known):
            return []
        shapes = [part[1][1:] if is_stack else part[1] for part in known]
        if sizes is not None and shapes != sizes:
            return []
        sizes = shapes
        names += [part[0] for part in known]
    if sizes is None or (is_stack and len(rule.parts) < 2):
        return []
    out = []
    step = prod(inner)
    for order, cuts in _cuts(rule, inner, sizes):
        if is_stack:
            found = [
                Piece(
                    name, first, (shape[0], *part),
                    (shape[0], *(lengths or part)), (step, *(strides or strides_of(part))),
                ).simplest
                for name, part, (first, lengths, strides) in zip(names, sizes, cuts, strict=True)
            ]  # fmt: skip
        else:
            cuts = [
                (piece.first, piece.sizes, piece.strides)
                for part, (first, lengths, strides) in zip(sizes, cuts, strict=True)
                for piece in (Piece("", first, part, lengths, strides).simplest,)
            ]
            each_part = list(zip(sizes, cuts, strict=True))
            by_expert = zip(range(0, step * len(begins), step), _by(names, len(sizes)), strict=True)
            found = [
                Piece(name, at + first, part, lengths, strides)
                for at, several in by_expert
                for name, (part, (first, lengths, strides)) in zip(several, each_part, strict=True)
            ]
        out.append(Reading(tuple(found), order))
    if rule.stacked and not is_stack and len(begins) != shape[0]:
        return []
    return out


MOST_EXPERTS = 1 << 14
"""Experts of a stack, at most: what has more along its first dimension is none."""

Cut = tuple[int, "Shape", "Shape"]
"""The first element of a part, and its sizes and strides, none where it is consecutive."""


def _cuts(rule: Rule, shape: Shape, parts: Sequence[Shape]) -> Iterator[tuple[str, list[Cut]]]:
    """Yield how parts may lie in what holds them; as rows first, and then as columns."""
    tail = parts[0][1:]
    rows = [part[0] for part in parts if part]
    if len(rows) < len(parts) or any(part[1:] != tail for part in parts):
        return
    total, width = sum(rows), prod(tail)
    if shape == (total, *tail):
        yield "", [(sum(rows[:i]) * width, (), ()) for i in range(len(rows))]
        yield from _other_orders(rule, rows, width, (width, 1), "")
    if len(shape) == 2 and len(tail) == 1 and shape == (tail[0], total):
        yield (
            "transposed",
            [(sum(rows[:i]), (each, tail[0]), (1, total)) for i, each in enumerate(rows)],
        )
        yield from _other_orders(rule, rows, tail[0], (1, total), "transposed, ")


def _other_orders(
    rule: Rule, rows: list[int], width: int, steps: tuple[int, int], also: str
) -> Iterator[tuple[str, list[Cut]]]:
    """Yield parts whose rows take turns, one by one or head by head.

    ``steps`` are elements from one row to the next, and from one column to the next.
    """
    down, across = steps
    if rule.by_turns and len(set(rows)) == 1 and len(rows) > 1:
        yield (
            f"{also}by turns",
            [
                (number * down, (each, width), (len(rows) * down, across))
                for number, each in enumerate(rows)
            ],
        )
    if rule.by_heads and len(rows) == 3 and rows[1] == rows[2] and rows[0] % rows[1] == 0:
        served = rows[0] // rows[1]
        for head in heads_of(rows[1]):
            groups = rows[1] // head
            if groups == 1:
                continue
            group = (served + 2) * head * down
            firsts = (0, served * head * down, (served + 1) * head * down)
            yield (
                f"{also}heads of {head} by turns",
                [
                    (first, (groups, each, width), (group, down, across))
                    for first, each in zip(firsts, (served * head, head, head), strict=True)
                ],
            )


def _by(names: Sequence[str], count: int) -> Iterator[Sequence[str]]:
    """Yield names, so many at a time."""
    return (names[first : first + count] for first in range(0, len(names), count))


def _is_expert(begin: str) -> bool:
    """Return whether a name ends in an expert's number."""
    return begin.rpartition(".")[2].isdigit()


def _found(
    begin: str, spellings: tuple[str, ...], end: str, shape_of: ShapeOf
) -> tuple[str, Shape] | None:
    """Return the name that is there, of the ways to spell one, with its shape."""
    for spelling in spellings:
        name = f"{begin}.{spelling}.{end}"
        shape = shape_of(name)
        if shape:
            return name, shape
    return None
