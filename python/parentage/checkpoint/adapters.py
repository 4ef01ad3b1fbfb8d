"""Adapters: checkpoints that hold products of low rank to add to another, and how they are named.

An adapter is told by names and shapes: tensors that are the two factors of one module, of which the
weight itself is not there. Configurations tell of a scale, which is a first guess.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from parentage.checkpoint.codings import is_float32
from parentage.checkpoint.containers.contents import wrong
from parentage.checkpoint.decoding import numbers_of
from parentage.checkpoint.folder import json_beside
from parentage.checkpoint.sources.names import shown_path
from parentage.support import CheckpointError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from parentage.checkpoint.checkpoint import Checkpoint, Tensor

CONFIG = "adapter_config.json"
"""What PEFT writes beside an adapter."""

FACTORS = re.compile(
    # PEFT, and diffusers since: X.lora_A.weight, X.lora_B.default.weight, X.lora_embedding_A.
    r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<letter>[AB])"
    r"(?:\.(?P<label>(?!weight$|bias$)[^.]+))?(?:\.weight)?"
    # kohya: lora_unet_X.lora_up.weight; diffusers before: X.lora.up.weight, X.processor.to_q_lora.
    r"|(?P<other>.+?)[._]lora(?:_linear_layer)?[._](?P<way>up|down)(?:\.weight)?"
)
"""How factors are named: B and up are on the left of the product, A and down on the right."""

OTHERS = {
    ".hada_w1_a": "LoHa",
    ".lokr_w1": "LoKr",
    ".lokr_w1_a": "LoKr",
    ".oft_blocks": "OFT",
    ".oft_diag": "OFT",
    ".ia3_l": "IA3",
    ".vera_lambda_b": "VeRA",
    ".lora_mid.weight": "LoRA in three factors",
}
"""Kinds of adapters that are no products of two factors, by how one of their tensors ends."""

MAGNITUDES = (".lora_magnitude_vector", ".lora_magnitude_vector.weight", ".dora_scale")
"""What follows the name of a module in that of its magnitudes, of DoRA."""


class Module(NamedTuple):
    """Two factors, whose product is added to the weight of one module."""

    name: str
    """As the adapter has it, without what says which factor it is."""
    left: Tensor
    """(rows, rank), with dimensions of size 1 behind where it is of a convolution."""
    right: Tensor
    """(rank, columns), or with the dimensions of a convolution's weight."""
    is_turned: bool = False
    """Whether the factors of the weight are these, each transposed, in the other order: of an
    embedding PEFT stores those of the transposed weight."""
    alpha: float | None = None
    """What, divided by the rank, scales the product; ``None`` if no tensor says it."""
    magnitudes: Tensor | None = None
    """The norms that rows of the sum get: DoRA."""

    @property
    def rank(self) -> int:
        """Rows of the right factor."""
        return self.right.shape[0] if self.right.shape else 0

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the product, of the factors as they are stored."""
        return self.left.shape[0], prod(self.right.shape[1:])

    @property
    def fault(self) -> str | None:
        """Return why there is no product, if there is none."""
        left, right = self.left, self.right
        if len(left.shape) < 2 or len(right.shape) < 2 or prod(left.shape[2:]) != 1:
            shapes = f"{list(left.shape)} and {list(right.shape)}"
            return f"it and {right.name} have shapes {shapes}, which are none of factors"
        if not self.rank or not prod(self.size):
            return "a product of rank 0, or without elements"
        if left.shape[1] != right.shape[0]:
            return f"it has rank {left.shape[1]}, and {right.name} rank {right.shape[0]}"
        odd = next((x for x in (left, right) if x.dtype not in ("F32", "BF16", "F16")), None)
        return None if odd is None else f"products of {odd.dtype} are not computed"


@dataclass(frozen=True)
class Adapter:
    """What a checkpoint holds that is an adapter."""

    checkpoint: Checkpoint
    modules: tuple[Module, ...]
    """In the order of their names."""
    plain: tuple[Tensor, ...] = ()
    """Tensors that are neither factors nor scales: whole ones that were trained beside."""
    kind: str = "LoRA"
    """``LoRA``, ``DoRA``, or of :data:`OTHERS`, in which case there are no modules."""

    @cached_property
    def said(self) -> Said:
        """What the configuration beside it says of its scale."""
        return _said(self.checkpoint)

    @property
    def ranks(self) -> tuple[int, ...]:
        """Return the ranks of the modules, each once, ascending."""
        return tuple(sorted({each.rank for each in self.modules}))

    def __str__(self) -> str:
        """Return what it is: ``LoRA, rank 8, 42 modules``."""
        if not self.modules:
            return self.kind
        ranks = self.ranks
        rank = f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {ranks[0]} to {ranks[-1]}"
        count = len(self.modules)
        return f"{self.kind}, {rank}, {count:,} module{'' if count == 1 else 's'}"


WRAPPERS = ("base_model.model.", "base_model.")
"""What PEFT puts before the names of a model's modules."""


def adapter_of(checkpoint: Checkpoint) -> Adapter | None:
    """Return what adapter a checkpoint is; ``None`` if it is none.

    One whose modules have their weights beside them is a model.
    """
    pairs, embeddings = _factors(checkpoint)
    if not pairs:
        names = checkpoint.core.names(*OTHERS)
        if not names or len(names) * 8 < len(checkpoint.tensors):
            return None
        kind = next(kind for end, kind in OTHERS.items() if names[0].endswith(end))
        return Adapter(checkpoint, (), kind=kind)
    weights = ("", ".weight", ".base_layer.weight")
    bare = {name.removeprefix(start) for name in pairs for start in ("", *WRAPPERS)}
    if any(f"{name}{end}" in checkpoint.tensors for name in bare for end in weights):
        return None
    if checkpoint.core.names(".lora_mid.weight"):
        return Adapter(checkpoint, (), kind=OTHERS[".lora_mid.weight"])
    alphas = _alphas(checkpoint, pairs)
    modules = []
    for name, (left, right) in sorted(pairs.items()):
        magnitudes = next(
            filter(None, (checkpoint.tensors.get(name + x) for x in MAGNITUDES)), None
        )
        modules.append(Module(name, left, right, name in embeddings, alphas.get(name), magnitudes))
    used = {each.name for module in modules for each in (module.left, module.right)}
    used |= {module.magnitudes.name for module in modules if module.magnitudes is not None}
    used |= {f"{name}.alpha" for name in pairs}
    plain = tuple(each for each in checkpoint.tensors.values() if each.name not in used)
    kind = "DoRA" if any(module.magnitudes is not None for module in modules) else "LoRA"
    return Adapter(checkpoint, tuple(modules), plain, kind)


def _factors(checkpoint: Checkpoint) -> tuple[dict[str, tuple[Tensor, Tensor]], set[str]]:
    """Return the factors of modules, left and right, by the modules' names, and embeddings.

    Where a file holds several adapters, those of each are modules of their own.
    """
    found: dict[tuple[str, str], dict[str, Tensor]] = defaultdict(dict)
    embeddings: set[str] = set()
    # There may be a hundred thousand names, of which a model has none.
    for full_name in (each for each in checkpoint.core.names() if "lora" in each):
        match = FACTORS.fullmatch(full_name)
        if match is None:
            continue
        name = match["module"] or match["other"]
        label = match["label"] or ""
        side = "left" if match["letter"] == "B" or match["way"] == "up" else "right"
        found[name, label][side] = checkpoint.tensors[full_name]
        if match["embedding"]:
            embeddings.add(name)
    several = Counter(name for name, _ in found)
    return {
        name if several[name] == 1 else f"{name}.{label}": (sides["left"], sides["right"])
        for (name, label), sides in found.items()
        if len(sides) == 2
    }, embeddings


def _alphas(checkpoint: Checkpoint, names: Mapping[str, object]) -> dict[str, float]:
    """Return the numbers that tensors called ``X.alpha`` hold, by module."""
    tensors = {}
    for name in names:
        tensor = checkpoint.tensors.get(f"{name}.alpha")
        if tensor is not None and tensor.elements == 1 and tensor.dtype in _NUMBERS:
            tensors[name] = tensor
    values = numbers_of(checkpoint, list(tensors.values())).tolist()
    return {name: x for name, x in zip(tensors, values, strict=True) if is_float32(x)}


_NUMBERS = ("F64", "F32", "BF16", "F16", "I32")
"""Dtypes that a scale may have."""


class Said(NamedTuple):
    """What a configuration says of an adapter's scale; a first guess."""

    alpha: float | None = None
    by_root: bool = False
    """Whether alpha is divided by the root of the rank: rank-stabilised (Kalajdzievski 2023)."""
    is_turned: bool = False
    """Whether weights are stored (in, out): ``fan_in_fan_out``."""
    alphas: tuple[tuple[str, float], ...] = ()
    """Of modules whose names end so, another alpha: ``alpha_pattern``."""

    def alpha_of(self, module: Module) -> float | None:
        """Return what is divided by a module's rank; what a tensor says comes first."""
        if module.alpha is not None:
            return module.alpha
        for end, alpha in self.alphas:
            if module.name == end or module.name.endswith(f".{end}"):
                return alpha
        return self.alpha

    def scale_of(self, module: Module) -> float | None:
        """Return what the product of a module is multiplied by; ``None`` if nothing is said."""
        alpha = self.alpha_of(module)
        if alpha is None or module.rank == 0:
            return None
        return alpha / (module.rank**0.5 if self.by_root else module.rank)


def _said(checkpoint: Checkpoint) -> Said:
    """Return what the configuration beside an adapter says; what is no number is not taken."""
    config = json_beside(checkpoint.path, CONFIG, checkpoint.texts)
    pattern = config.get("alpha_pattern")
    alphas = pattern.items() if isinstance(pattern, dict) else ()
    return Said(
        _number(config.get("lora_alpha")),
        config.get("use_rslora") is True,
        config.get("fan_in_fan_out") is True,
        tuple((str(name), x) for name, alpha in alphas if (x := _number(alpha)) is not None),
    )


def _number(value: object) -> float | None:
    """Return a number of float32, or ``None``.

    >>> _number(16), _number("16"), _number(True), _number(float("nan")), _number(1e39)
    (16.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if is_float32(number) else None


def checked(adapter: Adapter) -> Iterator[Module]:
    """Yield the modules of an adapter, each with factors that fit each other.

    Raises
    ------
    CheckpointError
        If it is of a kind that is not read, or two factors do not fit.
    """
    checkpoint = adapter.checkpoint
    if not adapter.modules:
        raise CheckpointError(
            printable(
                f"{checkpoint.where}: {checkpoint.name} is an adapter ({adapter.kind}), which is "
                "not a product of two factors, and not read"
            )
        )
    for module in adapter.modules:
        if module.fault is not None:
            raise misfit(checkpoint, module.left, module.fault)
        yield module


def misfit(checkpoint: Checkpoint, tensor: Tensor, message: str) -> CheckpointError:
    """Return an error that names file, tensor and byte offset."""
    is_file = tensor.shard < len(checkpoint.shards)
    path = shown_path(checkpoint.shards[tensor.shard].path if is_file else checkpoint.path)
    return wrong(path, message, tensor=tensor.name, offset=tensor.begin)
