"""What the names of tensors mean: component, layer and expert."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.checkpoint.image_names import image_name, is_ruled
from parentage.checkpoint.naming import common_name
from parentage.support import collection_paused, natural_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    "text_encoder",
    "vae",
    "adapter",
    *(
        f"{part}{number:02}"
        for part, count in (("IN", 12), ("M", 1), ("OUT", 12))
        for number in range(count)
    ),
    "TIME",
    "OUT",
    *(f"D{number:02}" for number in range(38)),
    *(f"S{number:02}" for number in range(48)),
)
"""Every component that is known, in the order of reports.

The blocks of a UNet have the numbers that merge tools give them: ``IN00`` to ``IN11``, ``M00``, and
``OUT00`` to ``OUT11``; ``TIME`` is what embeds the time and labels, ``OUT`` what is after the last
block. Transformers of images have double blocks, ``D00`` and so on, and single ones, ``S00``. What
is none of these is a component of its own for each name that differs in numbers alone.
"""

# The first pattern that matches decides, so the special ones stand before the general ones.
_COMPONENT_PATTERNS = tuple(
    (component, re.compile(pattern))
    for component, pattern in (
        ("adapter", r"\.(lora_(a|b|A|B|up|down|mid|magnitude_vector)|hada_\w+|lokr_\w+)\b"),
        ("text_encoder", r"(^|\.)(cond_stage_model|conditioner|text_encoders?(_\d)?)\."),
        ("vae", r"(^|\.)(first_stage_model|vae)\.|(^|\.)(en|de)coder\.(up|down|mid)(_block|\.)"),
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
        (
            "mlp",
            r"\.(mlp|ffn|feed_forward|intermediate|output|dense\w*)\.|\.w[123]\.|\.fc\d?\.|DenseReluDense",
        ),
    )
)

_LAYER_PATTERN = re.compile(r"(?:^|\.)(?:layers?|blocks?|h|blk|resblocks)\.([0-9]{1,9})\.")

_NUMBER_PATTERN = re.compile(r"(?<=\.)([0-9]{1,9})(?=\.)")

_EXPERT_PATTERN = re.compile(r"\.experts\.([0-9]{1,9})\.")


_IMAGE_PATTERNS = (
    ("IN", r"(?:^|\.)input_blocks\.(\d{1,2})\."),
    ("M", r"(?:^|\.)middle_block\.()"),
    ("OUT", r"(?:^|\.)output_blocks\.(\d{1,2})\."),
    ("S", r"(?:^|\.)single_transformer_blocks\.(\d{1,2})\."),
    ("D", r"(?:^|(?:unet|transformer|diffusion_model)\.)transformer_blocks\.(\d{1,2})\."),
)
"""Blocks by the names that are one for all tools, with their numbers; :mod:`re` keeps what it has
compiled, once a name of an image model is asked for."""

_IMAGE_REST = (
    ("TIME", r"(?:^|\.)(?:time_embedding|add_embedding|time_text_embed)\."),
    (
        "OUT",
        r"^(?:(?:unet|transformer|model\.diffusion_model|diffusion_model)\.)?(?:conv_norm_out|conv_out|norm_out|proj_out)\.",
    ),
)


class Place(NamedTuple):
    """Where in a model a tensor's name stands."""

    component: str
    """One of :data:`COMPONENTS`, or a name without its numbers."""
    layer: int | None
    expert: int | None


def place_of(name: str) -> Place:
    """Return where in a model a tensor's name stands.

    >>> place_of("model.layers.3.mlp.experts.17.gate_proj.weight")
    Place(component='experts', layer=3, expert=17)
    """
    parts = _NUMBER_PATTERN.split(name)
    found = _template("0".join(parts[::2]))
    numbers = parts[1::2]
    return Place(
        found.component_of(name),
        None if found.layer is None else int(numbers[found.layer]),
        None if found.expert is None else int(numbers[found.expert]),
    )


def places_of(core: _core.Checkpoint) -> list[Place]:
    """Return where the names of a checkpoint's tensors stand, in the order of the tensors."""
    texts, which, numbers, starts = core.templates()
    templates = [_template(text) for text in texts]
    # What a name has no number for is read past the last.
    padded = np.append(numbers, -1)

    def read(places: Sequence[int | None]) -> list[int | None]:
        column = np.array([-1 if place is None else place for place in places], dtype=np.intp)
        column = column[which]
        found = padded[np.where(column < 0, len(numbers), starts + column)].tolist()
        return [None if number < 0 else number for number in found]

    with collection_paused():
        called = [templates[template].component for template in which.tolist()]
        images = [at for at, template in enumerate(templates) if template.may_be_of_images]
        if images:
            names = core.names()
            for place in np.flatnonzero(np.isin(which, images)).tolist():
                called[place] = templates[which[place]].component_of(names[place])
        rows = zip(
            called,
            read([template.layer for template in templates]),
            read([template.expert for template in templates]),
            strict=True,
        )
        return list(map(Place._make, rows))


def body_layers(core: _core.Checkpoint) -> frozenset[int]:
    """Return the numbers of the layers of the body of the model."""
    texts, which, numbers, starts = core.templates()
    found: set[int] = set()
    for index, template in enumerate(map(_template, texts)):
        if template.layer is not None and is_of_the_body(template.component):
            found.update(np.unique(numbers[starts[which == index] + template.layer]).tolist())
    return frozenset(found)


class _Template(NamedTuple):
    """What names say that differ in numbers alone: their template has ``0`` for each."""

    component: str
    """That of names that are not of an image model."""
    layer: int | None
    """Which of a name's numbers is that of its layer."""
    expert: int | None
    may_be_of_images: bool
    """Whether numbers may say of which part of an image model a name is."""

    def component_of(self, name: str) -> str:
        """Return the component that a name of this template stands for."""
        return (self.may_be_of_images and _image_block(name)) or self.component


@lru_cache(maxsize=4096)
def _template(template: str) -> _Template:
    """Return what all names of a template say."""
    common = common_name(template)
    matching = (name for name, pattern in _COMPONENT_PATTERNS if pattern.search(common))
    starts = [found.start() for found in _NUMBER_PATTERN.finditer(template)]
    layer, expert = _LAYER_PATTERN.search(template), _EXPERT_PATTERN.search(template)
    component = next(matching, None) or _unknown(template)
    return _Template(
        component,
        # Blocks of a VAE are counted within each of its resolutions.
        starts.index(layer.start(1)) if layer and component != "vae" else None,
        starts.index(expert.start(1)) if expert else None,
        is_ruled(template) or "transformer_blocks." in template,
    )


@lru_cache(maxsize=16384)
def _image_block(name: str) -> str | None:
    """Return the block of a UNet, or of a transformer of images, that a name stands for, if any.

    >>> _image_block("unet.up_blocks.1.attentions.2.norm.weight"), _image_block("a.weight")
    ('OUT05', None)
    """
    if any(pattern.search(name) for _, pattern in _OTHER_PARTS):
        return None
    common = image_name(name)
    for component, pattern in _IMAGE_PATTERNS:
        found = re.search(pattern, common)
        if found is not None:
            said = f"{component}{int(found[1] or 0):02}"
            return said if said in _KNOWN else None
    if common == name:
        return None
    return next((part for part, pattern in _IMAGE_REST if re.search(pattern, common)), None)


_KNOWN = frozenset(COMPONENTS)
_OTHER_PARTS = _COMPONENT_PATTERNS[:3]


def _unknown(template: str) -> str:
    """Return the component of a name that no pattern knows: without its numbers and its ending.

    >>> _unknown("model.layers.0.eh_proj.weight"), _unknown("encoder.0.reparam_conv.bias")
    ('eh_proj', 'encoder.*.reparam_conv')
    """
    layer = _LAYER_PATTERN.search(template)
    inside = template if layer is None else template[layer.end() :]
    inside = re.sub(r"\.(weight|bias)$", "", inside)
    inside = re.sub(r"(?:^|(?<=\.))[0-9]+(?=\.|$)", "*", inside)
    return re.sub(r"[^\w.*-]", "_", inside)[:LONGEST] or "*"


LONGEST = 60
"""Letters of a component that is a name, at most."""


def in_order(components: Iterable[str]) -> list[str]:
    """Return components, each once, in the order of reports; those that are names follow.

    >>> in_order(["head", "embed", "a.b", "head"])
    ['embed', 'head', 'a.b']
    """
    found = set(components)
    return [name for name in COMPONENTS if name in found] + sorted(found - _KNOWN, key=natural_key)


def component_of(name: str) -> str:
    """Return the component that a tensor's name stands for.

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
    return component not in ("vision", "mtp", "text_encoder", "vae")
