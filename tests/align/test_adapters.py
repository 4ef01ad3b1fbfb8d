"""Adapters are seen as what they make of a base, whatever their names and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from common.adapters import PEFT, adapter, base, kohya, merged, modules, write
from conftest import BF16
from parentage import _core
from parentage.align import applied, module_names, products
from parentage.checkpoint import Checkpoint, adapter_of
from parentage.support import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from parentage.align import Applied

BASE = base()
FACTORS = adapter(BASE, 2)


def elements(view: Checkpoint, name: str) -> np.ndarray:
    """Return all elements of a tensor."""
    tensor = view.tensors[name]
    tables = [[tensor.elements], [[tensor.index] * 2], [[0] * 2]]
    plan = _core.Plan([view.core] * 2, *(np.array(each, np.uint64) for each in tables))
    return _core.elements(plan, 0, 1, threads=1)[:, 0].reshape(tensor.shape)


def seen(
    folder: Path, factors: dict[str, np.ndarray], model: dict[str, np.ndarray] = BASE, **config: Any
) -> Applied:
    """Return an adapter as what it makes of a model."""
    found = adapter_of(Checkpoint.open(write(folder / "adapter", factors, **config)))
    assert found is not None
    return applied(found, Checkpoint.open(write(folder / "base", model)))


def assert_is(view: Checkpoint, expected: dict[str, np.ndarray]) -> None:
    """Assert that a view is a model, but for the order of sums."""
    assert list(view.tensors) == sorted(expected)
    for name, each in expected.items():
        wide = each.astype(np.float64)
        np.testing.assert_allclose(elements(view, name), wide, rtol=0, atol=2e-7 * abs(wide).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float16, BF16])
@pytest.mark.parametrize("rank", [1, 8, 70])
def test_products_are_added_times_what_is_said(tmp_path: Path, rank: int, dtype: Any) -> None:
    factors = adapter(BASE, 3, rank, dtype=dtype)
    found = seen(tmp_path, factors, lora_alpha=2 * rank)
    assert_is(found.view, merged(BASE, factors, 2.0, dtype=np.float32))
    assert len(found.modules) == 6
    untouched = found.view.tensors["model.embed_tokens.weight"]
    assert untouched.dtype == "BF16"


def test_names_of_kohya_are_those_of_modules(tmp_path: Path) -> None:
    found = seen(tmp_path, kohya(FACTORS, 4.0))
    assert_is(found.view, merged(BASE, FACTORS, 0.5, dtype=np.float32))


def test_without_a_scale_it_is_one(tmp_path: Path) -> None:
    assert_is(seen(tmp_path, FACTORS).view, merged(BASE, FACTORS, 1.0, dtype=np.float32))


def test_convolutions_are_matrices_of_all_that_a_channel_sees(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    model = {
        "down.0.conv.weight": rng.normal(size=(24, 16, 3, 3)).astype(BF16),
        "down.0.proj.weight": rng.normal(size=(24, 24, 1, 1)).astype(BF16),
    }
    factors, expected = {}, dict(model)
    for name, weight in model.items():
        start = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        down = rng.normal(size=(4, *weight.shape[1:])).astype(np.float32)
        up = rng.normal(size=(weight.shape[0], 4, 1, 1)).astype(np.float32)
        factors |= {f"{start}.lora_down.weight": down, f"{start}.lora_up.weight": up}
        product = np.einsum("or,rikl->oikl", up[:, :, 0, 0], down)
        expected[name] = weight.astype(np.float32) + product
    assert_is(seen(tmp_path, factors, model).view, expected)


def test_a_convolution_of_another_kernel_is_refused(tmp_path: Path) -> None:
    model = {"c.weight": np.zeros((8, 4, 3, 2), np.float32)}
    factors = {
        "c.lora_up.weight": np.zeros((8, 2, 1, 1), np.float32),
        "c.lora_down.weight": np.zeros((2, 4, 2, 3), np.float32),
    }
    with pytest.raises(CheckpointError, match=r"c\.lora_up\.weight"):
        seen(tmp_path, factors, model)


def test_embeddings_and_transposed_weights_take_the_transposed_product(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    right, left = rng.normal(size=(4, 200)), rng.normal(size=(64, 4))
    module = "model.layers.0.mlp.up_proj"
    factors = {
        f"{PEFT}model.embed_tokens.lora_embedding_A": right.astype(np.float32),
        f"{PEFT}model.embed_tokens.lora_embedding_B": left.astype(np.float32),
        # Of a weight that is stored (in, out): 64 is what goes in, and 96 rows are here.
        f"{PEFT}{module}.lora_A.weight": right[:, :96].astype(np.float32),
        f"{PEFT}{module}.lora_B.weight": left.astype(np.float32),
    }
    expected = dict(BASE)
    for name, columns in (("model.embed_tokens", 200), (module, 96)):
        product = (left @ right[:, :columns]).T
        expected[f"{name}.weight"] = (BASE[f"{name}.weight"].astype(float) + product).astype(
            np.float32
        )
    assert_is(seen(tmp_path, factors).view, expected)


def test_a_square_weight_is_transposed_if_the_configuration_says_so(tmp_path: Path) -> None:
    factors = adapter(BASE, 6, targets=("q_proj",))
    expected = dict(BASE)
    for name, (left, right) in modules(factors).items():
        expected[name] = BASE[name].astype(np.float32) + (left @ right).T
    assert_is(seen(tmp_path, factors, fan_in_fan_out=True).view, expected)


def test_rows_of_dora_have_the_norm_of_their_magnitudes(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    factors, expected = dict(FACTORS), dict(BASE)
    for name, (left, right) in modules(FACTORS).items():
        total = BASE[name].astype(np.float64) + 2.0 * (left.astype(float) @ right)
        magnitudes = rng.uniform(0.5, 2.0, len(total)).astype(np.float32)
        module = f"{PEFT}{name.removesuffix('.weight')}"
        factors[f"{module}.lora_magnitude_vector"] = magnitudes
        scaled = total * (magnitudes / np.linalg.norm(total, axis=1))[:, None]
        expected[name] = scaled.astype(np.float32)
    assert_is(seen(tmp_path / "fits", factors, lora_alpha=16).view, expected)
    factors[f"{module}.lora_magnitude_vector"] = magnitudes[:-1]
    with pytest.raises(CheckpointError, match="magnitudes"):
        seen(tmp_path / "short", factors)


def test_what_was_trained_whole_takes_the_place_of_the_bases(tmp_path: Path) -> None:
    head, norm = "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight"
    whole = {head: BASE[head] * BF16(2), norm: BASE[norm] * BF16(3)}
    factors = {
        **FACTORS,
        f"{PEFT}model.embed_tokens.modules_to_save.weight": whole[head],
        f"{PEFT}{norm}": whole[norm],
        f"{PEFT}model.score.weight": whole[norm],
    }
    found = seen(tmp_path, factors)
    assert_is(found.view, merged(BASE, FACTORS, 1.0, dtype=np.float32) | whole)
    assert found.absent == (f"{PEFT}model.score.weight",)


def test_modules_that_the_base_lacks_are_told(tmp_path: Path) -> None:
    more = {f"{PEFT}visual.blocks.{i}.qkv.weight": np.zeros((9, 9), BF16) for i in range(2)}
    factors = FACTORS | {
        name.replace(PEFT + PEFT, PEFT): each
        for name, each in adapter(more, 8, targets=("qkv",)).items()
    }
    found = seen(tmp_path, factors)
    assert_is(found.view, merged(BASE, FACTORS, 1.0, dtype=np.float32))
    assert found.absent == tuple(f"{PEFT}visual.blocks.{i}.qkv" for i in range(2))
    assert "2 of its modules and tensors base has no place for" in found.remarks("1")[1]


def test_a_base_of_other_shapes_is_refused_by_tensor(tmp_path: Path) -> None:
    other = {name: each[:, :48] if each.ndim == 2 else each for name, each in BASE.items()}
    with pytest.raises(CheckpointError, match=r'tensor "base_model.*lora_B.weight": at byte \d+'):
        seen(tmp_path, FACTORS, other)


def test_a_base_without_any_of_the_modules_is_refused(tmp_path: Path) -> None:
    other = {"encoder.weight": np.zeros((4, 4), np.float32)}
    with pytest.raises(CheckpointError, match="none of its modules is in base"):
        seen(tmp_path, FACTORS, other)


def test_a_weight_of_whole_numbers_is_not_added_to(tmp_path: Path) -> None:
    other = {name: np.zeros(each.shape, np.int16) for name, each in BASE.items()}
    with pytest.raises(CheckpointError, match="is I16"):
        seen(tmp_path, FACTORS, other)


def test_names_that_may_be_two_are_none() -> None:
    there = ["a.x.q.weight", "b.x.q.weight"]
    assert module_names(["x.q"], there) == {}
    assert module_names(["m.a.x.q", "m.b.x.q"], there) == {
        "m.a.x.q": "a.x.q.weight",
        "m.b.x.q": "b.x.q.weight",
    }
    # A dot and an underscore are one in kohya's names, so that these may be two.
    assert module_names(["lora_a_q"], ["a.q.weight", "a_q.weight"]) == {}


def test_a_text_encoders_modules_are_none_of_the_unets() -> None:
    unet = [f"down.{i}.attn.to_{x}.weight" for i in range(3) for x in "qkv"]
    modules = [f"lora_unet_down_{i}_attn_to_{x}" for i in range(3) for x in "qkv"]
    text = [f"lora_te_encoder_layers_{i}_attn_{x}_proj" for i in range(3) for x in "qkv"]
    found = module_names([*modules, *text], unet)
    assert found == dict(zip(modules, unet, strict=True))


def test_products_alone_are_those_of_the_factors(tmp_path: Path) -> None:
    found = adapter_of(Checkpoint.open(write(tmp_path, FACTORS, lora_alpha=4)))
    names = {each.name: f"{each.name}.product" for each in found.modules}
    view = products(found, names)
    for name, (left, right) in modules(FACTORS).items():
        expected = 0.5 * (left.astype(float) @ right)
        got = elements(view, f"{PEFT}{name.removesuffix('.weight')}.product")
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * abs(expected).max())


def test_a_scale_that_float32_does_not_hold_is_not_taken(tmp_path):
    found = seen(tmp_path, FACTORS, lora_alpha=1e300)
    assert_is(found.view, merged(BASE, FACTORS, 1.0, dtype=np.float32))
