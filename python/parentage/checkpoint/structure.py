"""What the names of tensors mean: component, layer and expert."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.support import collection_paused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage import _core

COMPONENTS = (
    "embed",
    "attention",
    "linear_attention",
    "mlp",
    "experts",
    "shared_expert",
    "router",
    "norm",
    "head",
    "vision",
    "mtp",
    "other",
)
"""Every component, in the order of reports."""

# The first pattern that matches decides, so the special ones stand before the general ones.
_COMPONENT_PATTERNS = tuple(
    (component, re.compile(pattern))
    for component, pattern in (
        ("vision", r"(^|\.)(visual|vision\w*|image_encoder)\."),
        ("mtp", r"(^|\.)mtp\w*\."),
        ("norm", r"(?i:norm)|(^|\.)ln_\w+\."),
        ("shared_expert", r"\.shared_experts?(_gate)?\."),
        ("experts", r"\.experts\.|\.switch_mlp\."),
        ("router", r"\.router\.|\.(mlp|ffn|block_sparse_moe|moe)\.gate\."),
        ("linear_attention", r"\.(linear_attn|mamba\w*|ssm|mixer)\."),
        ("attention", r"attn|(?i:attention)"),
        ("head", r"(^|\.)(lm_head|head|embed_out|output|score|classifier)\.(weight|bias)$"),
        ("embed", r"embed|(^|\.)wte\.|(^|\.)wpe\."),
        ("mlp", r"\.(mlp|ffn|feed_forward|intermediate|output|dense\w*)\.|\.w[123]\.|\.fc\d?\."),
    )
)

_LAYER_PATTERN = re.compile(r"(?:^|\.)(?:layers?|blocks?|h)\.([0-9]{1,9})\.")

_NUMBER_PATTERN = re.compile(r"(?<=\.)([0-9]{1,9})(?=\.)")

_EXPERT_PATTERN = re.compile(r"\.experts\.([0-9]{1,9})\.")


class Place(NamedTuple):
    """Where in a model a tensor's name stands."""

    component: str
    """One of :data:`COMPONENTS`."""
    layer: int | None
    expert: int | None


def place_of(name: str) -> Place:
    """Return where in a model a tensor's name stands.

    >>> place_of("model.layers.3.mlp.experts.17.gate_proj.weight")
    Place(component='experts', layer=3, expert=17)
    """
    parts = _NUMBER_PATTERN.split(name)
    component, layer, expert = _places_of("0".join(parts[::2]))
    numbers = parts[1::2]
    return Place(
        component,
        None if layer is None else int(numbers[layer]),
        None if expert is None else int(numbers[expert]),
    )


def places_of(core: _core.Checkpoint) -> list[Place]:
    """Return where the names of a checkpoint's tensors stand, in the order of the tensors."""
    templates, which, numbers, starts = core.templates()
    places = [_places_of(template) for template in templates]
    components = [component for component, _, _ in places]
    # What a name has no number for is read past the last.
    padded = np.append(numbers, -1)

    def read(places: Sequence[int | None]) -> list[int | None]:
        column = np.array([-1 if place is None else place for place in places], dtype=np.intp)
        column = column[which]
        found = padded[np.where(column < 0, len(numbers), starts + column)].tolist()
        return [None if number < 0 else number for number in found]

    with collection_paused():
        rows = zip(
            [components[template] for template in which.tolist()],
            read([layer for _, layer, _ in places]),
            read([expert for _, _, expert in places]),
            strict=True,
        )
        return list(map(Place._make, rows))


def body_layers(core: _core.Checkpoint) -> frozenset[int]:
    """Return the numbers of the layers of the body of the model."""
    templates, which, numbers, starts = core.templates()
    found: set[int] = set()
    for index, template in enumerate(templates):
        component, layer, _ = _places_of(template)
        if layer is not None and is_of_the_body(component):
            found.update(np.unique(numbers[starts[which == index] + layer]).tolist())
    return frozenset(found)


@lru_cache(maxsize=4096)
def _places_of(template: str) -> tuple[str, int | None, int | None]:
    """Return the component, and which numbers of a name are those of its layer and its expert.

    Names that differ in numbers alone have one template, with ``0`` for each.
    """
    matching = (name for name, pattern in _COMPONENT_PATTERNS if pattern.search(template))
    starts = [found.start() for found in _NUMBER_PATTERN.finditer(template)]
    layer, expert = _LAYER_PATTERN.search(template), _EXPERT_PATTERN.search(template)
    return (
        next(matching, "other"),
        starts.index(layer.start(1)) if layer else None,
        starts.index(expert.start(1)) if expert else None,
    )


def component_of(name: str) -> str:
    """Return the component, one of :data:`COMPONENTS`, that a tensor's name stands for.

    >>> component_of("model.layers.3.mlp.experts.17.gate_proj.weight")
    'experts'
    >>> component_of("model.layers.3.self_attn.q_norm.weight")
    'norm'
    """
    return place_of(name).component


def layer_of(name: str) -> int | None:
    """Return the layer that a tensor's name stands in, if any.

    >>> layer_of("model.layers.12.mlp.down_proj.weight"), layer_of("lm_head.weight")
    (12, None)
    """
    return place_of(name).layer


def is_of_the_body(component: str) -> bool:
    """Whether layers of a component are those of the language model, not of another tower."""
    return component not in ("vision", "mtp")
