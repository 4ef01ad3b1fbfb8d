"""Adapters are recognised by names and shapes, in the names of several tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from common.adapters import adapter, base, kohya, merged, write
from parentage.checkpoint import Checkpoint, adapter_of, checked
from parentage.support import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE = base()
FACTORS = adapter(BASE, 2)


def renamed(change: Callable[[str], str]) -> dict[str, np.ndarray]:
    """Return the factors under other names."""
    return {change(name): each for name, each in FACTORS.items()}


NAMES = {
    "peft": FACTORS,
    "peft, with a name": renamed(lambda n: n.replace(".weight", ".default.weight")),
    "kohya": kohya(FACTORS, alpha=16.0),
    "diffusers": renamed(lambda n: n.replace("base_model.model.", "unet.")),
    "diffusers before": renamed(
        lambda n: n.replace(".lora_A.", ".lora.down.").replace(".lora_B.", ".lora.up.")
    ),
    "processors": renamed(
        lambda n: n.replace(".lora_A.", "_lora.down.").replace(".lora_B.", "_lora.up.")
    ),
    "linear layers": renamed(
        lambda n: n.replace("lora_A", "lora_linear_layer.down").replace(
            "lora_B", "lora_linear_layer.up"
        )
    ),
}


@pytest.mark.parametrize("names", NAMES)
def test_names_of_every_tool_are_those_of_factors(tmp_path: Path, names: str) -> None:
    found = adapter_of(Checkpoint.open(write(tmp_path, NAMES[names])))
    assert found is not None
    assert str(found) == "LoRA, rank 8, 6 modules"
    assert not found.plain
    shapes = sorted((each.left.shape, each.right.shape) for each in found.modules)
    assert shapes == sorted(((32, 8), (8, 64)) for _ in range(2)) + sorted(
        ((rows, 8), (8, 64)) for rows in (64, 64, 96, 96)
    )


def test_models_are_none(tmp_path: Path) -> None:
    assert adapter_of(Checkpoint.open(write(tmp_path / "base", BASE))) is None
    # A folder of both holds a model.
    both = tmp_path / "both"
    write(both, BASE)
    (both / "model.safetensors").rename(both / "a.safetensors")
    write(both, FACTORS)
    assert adapter_of(Checkpoint.open(both)) is None
    # One that is not merged has its weights beside it.
    unmerged = {f"base_model.model.{n}": each for n, each in BASE.items()} | FACTORS
    assert adapter_of(Checkpoint.open(write(tmp_path / "unmerged", unmerged))) is None
    wrapped = {
        name.replace(".weight", ".base_layer.weight"): each for name, each in unmerged.items()
    } | FACTORS
    assert adapter_of(Checkpoint.open(write(tmp_path / "wrapped", wrapped))) is None
    assert adapter_of(Checkpoint.open(write(tmp_path / "m", merged(BASE, FACTORS, 1.0)))) is None


def test_scales_are_what_tensors_say_before_configurations(tmp_path: Path) -> None:
    found = Checkpoint.open(write(tmp_path / "k", kohya(FACTORS, 4.0), lora_alpha=16))
    module = adapter_of(found).modules[0]
    assert (module.alpha, adapter_of(found).said.scale_of(module)) == (4.0, 0.5)
    found = Checkpoint.open(write(tmp_path / "p", FACTORS, lora_alpha=16, use_rslora=True))
    module = adapter_of(found).modules[0]
    assert adapter_of(found).said.scale_of(module) == pytest.approx(16 / 8**0.5)
    pattern = {"q_proj": 32, "layers.1.mlp.up_proj": 64, "x": None}
    found = Checkpoint.open(write(tmp_path / "a", FACTORS, lora_alpha=16, alpha_pattern=pattern))
    said = adapter_of(found).said
    scales = {each.name: said.scale_of(each) for each in adapter_of(found).modules}
    start = "base_model.model.model.layers"
    assert scales[f"{start}.0.self_attn.q_proj"] == 4.0
    assert scales[f"{start}.1.mlp.up_proj"] == 8.0
    assert scales[f"{start}.0.mlp.up_proj"] == 2.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 10**5,
        '{"lora_alpha": "16"}',
        '{"lora_alpha": 1e999}',
        '{"lora_alpha": 1e300}',
        '{"lora_alpha": -1e39}',
        '{"lora_alpha": true, "alpha_pattern": [1], "use_rslora": 1}',
        f'{{"lora_alpha": {"9" * 400}}}',
    ],
)
def test_what_a_configuration_says_wrongly_is_not_taken(tmp_path: Path, text: str) -> None:
    found = Checkpoint.open(write(tmp_path, FACTORS))
    (tmp_path / "adapter_config.json").write_text(text)
    said = adapter_of(found).said
    assert said.scale_of(adapter_of(found).modules[0]) is None


def test_alphas_that_are_no_numbers_are_none(tmp_path: Path) -> None:
    for value in (np.array(np.nan, "f4"), np.ones(3, "f4"), np.array(True), np.array(1e300)):
        tensors = kohya(FACTORS, 2.0)
        tensors[next(name for name in tensors if name.endswith(".alpha"))] = value
        found = adapter_of(Checkpoint.open(write(tmp_path, tensors)))
        assert sorted(each.alpha is None for each in found.modules) == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda left, right: (left[:, :0], right[:0]), "rank 0"),
        (lambda left, right: (left, right[:5]), "rank 8, and .* rank 5"),
        (lambda left, right: (left[:0], right), "without elements"),
        (lambda left, right: (left, right.astype(np.int32)), "I32"),
        (lambda left, right: (left, right.astype(np.float64)), "F64"),
        (lambda left, _: (left, np.zeros((), np.float32)), "shapes"),
        (lambda left, right: (left[..., None], right[None]), "rank 8, and .* rank 1"),
        (lambda left, right: (np.stack([left] * 2, axis=-1), right), "shapes"),
    ],
)
def test_factors_that_do_not_fit_are_named(
    tmp_path: Path, change: Callable[..., tuple[np.ndarray, np.ndarray]], message: str
) -> None:
    tensors = dict(FACTORS)
    a = next(name for name in tensors if "lora_A" in name)
    b = a.replace("lora_A", "lora_B")
    tensors[b], tensors[a] = change(tensors[b], tensors[a])
    found = adapter_of(Checkpoint.open(write(tmp_path, tensors)))
    with pytest.raises(CheckpointError, match=message) as error:
        list(checked(found))
    assert f'model.safetensors: tensor "{b}": at byte ' in str(error.value)


def test_other_kinds_are_refused_by_name(tmp_path: Path) -> None:
    ends = {"lora_A.weight": "hada_w1_a", "lora_B.weight": "hada_w1_b"}
    tensors = renamed(lambda n: n.replace(*next(x for x in ends.items() if x[0] in n)))
    found = adapter_of(Checkpoint.open(write(tmp_path / "loha", tensors)))
    with pytest.raises(CheckpointError, match="LoHa"):
        list(checked(found))
    tucker = kohya(FACTORS)
    tucker["lora_unet_x.lora_mid.weight"] = np.ones((8, 8), np.float32)
    found = adapter_of(Checkpoint.open(write(tmp_path / "tucker", tucker)))
    with pytest.raises(CheckpointError, match="three factors"):
        list(checked(found))


def test_magnitudes_make_it_dora(tmp_path: Path) -> None:
    tensors = dict(FACTORS)
    name = next(name for name in tensors if "lora_A" in name)
    tensors[name.replace("lora_A.weight", "lora_magnitude_vector")] = np.ones(64, np.float32)
    found = adapter_of(Checkpoint.open(write(tmp_path, tensors)))
    assert (found.kind, sum(each.magnitudes is not None for each in found.modules)) == ("DoRA", 1)
