"""How strongly an adapter was added is found in the child, whatever is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from common.adapters import adapter, base, merged, write
from conftest import BF16
from parentage.align import applied, reached, strength_of, with_strength
from parentage.checkpoint import Checkpoint, adapter_of
from parentage.stream import Options

if TYPE_CHECKING:
    from pathlib import Path

    from parentage.align import Applied, Strength

OPTIONS = Options(2, None, "mmap", None)
BASE = base()
FACTORS = adapter(BASE, 2)


def seen(folder: Path, factors: dict[str, np.ndarray], **config: Any) -> Applied:
    """Return an adapter as what it makes of the base."""
    found = adapter_of(Checkpoint.open(write(folder / "adapter", factors, **config)))
    return applied(found, Checkpoint.open(write(folder / "base", BASE)))


def told(folder: Path, child: dict[str, np.ndarray], found: Applied) -> Strength:
    """Return how a child says that an adapter was added."""
    return strength_of(found, found.view, Checkpoint.open(write(folder / "child", child)), OPTIONS)


@pytest.mark.parametrize("scale", [2.0, 0.37, 4 / 3, -1.0, 0.0123])
@pytest.mark.parametrize("dtype", [BF16, np.float16, np.float32])
def test_a_scale_is_found_without_being_told(tmp_path: Path, scale: float, dtype: Any) -> None:
    found = told(tmp_path, merged(BASE, FACTORS, scale, dtype=dtype), seen(tmp_path, FACTORS))
    assert found.is_found
    assert list(set(found.scales.values())) == [pytest.approx(scale, rel=1e-6)]
    assert found.looked_at == found.rounding > 0
    assert "(by its values)" in str(found)


def test_what_is_said_is_taken_first_if_it_gives_as_much(tmp_path: Path) -> None:
    child = merged(BASE, FACTORS, 2.0)
    assert str(told(tmp_path, child, seen(tmp_path, FACTORS, lora_alpha=16))) == (
        "2 (alpha/r), in float32"
    )
    # The root of the rank, of which the configuration says nothing.
    child = merged(BASE, FACTORS, 16 / 8**0.5)
    assert str(told(tmp_path, child, seen(tmp_path, FACTORS, lora_alpha=16))) == (
        "5.65685 (alpha/sqrt r), in float32"
    )


@pytest.mark.parametrize("rounded", [BF16, np.float16])
def test_arithmetic_that_rounds_the_product_is_told(tmp_path: Path, rounded: Any) -> None:
    child = merged(
        BASE, FACTORS, 1.7, rounded=rounded, dtype=BF16 if rounded == BF16 else np.float32
    )
    found = told(tmp_path, child, seen(tmp_path, FACTORS))
    assert list(set(found.scales.values())) == [pytest.approx(1.7, rel=1e-3)]
    assert found.rounded == ("BF16" if rounded == BF16 else "F16")


@pytest.mark.parametrize("power", [-1.0, -0.5])
def test_modules_of_several_ranks_are_scaled_by_them(tmp_path: Path, power: float) -> None:
    factors = adapter(BASE, 3, 4, ("q_proj",)) | adapter(BASE, 4, 16, ("up_proj",))
    child = merged(BASE, factors, lambda rank: 8.0 * rank**power)
    found = told(tmp_path, child, seen(tmp_path, factors))
    expected = {8.0 * rank**power for rank in (4, 16)}
    assert {round(x, 5) for x in found.scales.values()} == {round(x, 5) for x in expected}
    assert found.looked_at == found.rounding


def test_a_child_that_it_is_not_in_says_nothing(tmp_path: Path) -> None:
    stranger = merged(BASE, adapter(BASE, 9), 2.0)
    found = told(tmp_path / "stranger", stranger, seen(tmp_path, FACTORS, lora_alpha=16))
    assert not found.is_found
    assert set(found.scales.values()) == {2.0}
    assert found.rounding < found.looked_at
    assert not told(tmp_path / "base", dict(BASE), seen(tmp_path, FACTORS)).is_found
    zero = {name: each * np.float32(0.0) for name, each in FACTORS.items()}
    assert not told(tmp_path / "zero", stranger, seen(tmp_path, zero)).is_found


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    factors = {name: each.copy() for name, each in FACTORS.items()}
    next(each for name, each in factors.items() if "lora_A" in name)[2, 5] = np.nan
    found = told(tmp_path, merged(BASE, factors, 2.0), seen(tmp_path, factors))
    assert set(found.scales.values()) == {2.0}
    assert found.looked_at == found.rounding == 6 * 32 * 64 - 64 // 2


def test_a_view_is_added_as_strongly_as_asked_for(tmp_path: Path) -> None:
    one = seen(tmp_path, FACTORS)
    child = merged(BASE, FACTORS, 2.5, rounded=BF16)
    view = with_strength(one.view, one, told(tmp_path, child, one))
    assert view.remarks == (
        "adapter is an adapter (LoRA, rank 8, 6 modules): it is compared as base plus its product "
        "times 2.5 (by its values), in float32, the product rounded to bf16.",
    )
    assert reached(view) == frozenset(one.modules)
    moved = view.seen_as(each._replace(name=f"x.{each.name}") for each in view.tensors.values())
    assert reached(moved) == {f"x.{name}" for name in one.modules}
