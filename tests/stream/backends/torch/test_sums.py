import numpy as np
import pytest
from common.devices import MODES, gram_differences, related

pytestmark = pytest.mark.torch

KINDS = {
    "bf16": ["BF16"] * 3,
    "f16": ["F16"] * 3,
    "f32": ["F32"] * 3,
    "f64": ["F64"] * 3,
    "two": ["BF16"] * 2,
    "ten": ["BF16"] * 10,
    "f8": ["F8_E4M3", "F8_E4M3", "F8_E4M3"],
    "mixed": ["BF16", "F32", "F16"],
    "narrowing": ["F32", "BF16", "F16", "BF16"],
    "mixed f8": ["F8_E5M2", "BF16", "F8_E4M3"],
    "mixed f64": ["F64", "F32", "F16"],
}
# Chunks of narrow arithmetic begin at 16 times 32,768 elements, and full ones at 16 times 65,536.
SIZES = [1, 15, 17, 4097, 40_001]
NARROW = 530_003


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kinds", KINDS)
def test_sums_have_the_core_s_bits(tmp_path, backend, kinds, mode):
    sizes = [*SIZES, NARROW] if kinds in ("bf16", "f16") else SIZES
    alignment = related(tmp_path, KINDS[kinds], sizes, mode, seed=len(kinds))
    assert gram_differences(backend, alignment) == []


def test_probes_are_those_of_the_slice(tmp_path, backend):
    """Chunks that begin elsewhere have probes elsewhere, and rests of blocks are narrow, too."""
    sizes = [16 * (65_536 + 40_000) + 5, 16 * 50_000 + 3]
    alignment = related(tmp_path, ["BF16", "BF16", "BF16"], sizes, "near", seed=1)
    assert gram_differences(backend, alignment) == []


def test_chunks_that_float32_does_not_hold_are_wide(tmp_path, backend):
    """Sums that overflow, elements that repeat, and one that is not finite, among those that do."""
    random = np.random.default_rng(0)
    alignment = related(tmp_path / "far", ["F16", "F16"], [16 * 40_000], "bits", seed=3)
    assert gram_differences(backend, alignment) == []
    from common.devices import opened
    from conftest import BF16
    from parentage.align import align

    tensors = []
    for number in range(3):
        values = random.normal(0, 1, 16 * 33_000).astype(BF16)
        values[:33_000] = 1e30 * (1 + number)
        values[33_000:66_000] = 0.1
        values[70_000] = np.inf if number == 1 else 1
        tensors.append({"a": values})
    made = [opened(tmp_path, f"{n}", each) for n, each in enumerate(tensors)]
    assert gram_differences(backend, align(made[-1], made[:-1])) == []


@pytest.mark.parametrize("width", [8, 24, 1024, 4096, 65_536])
def test_a_tally_counts_what_is_true(torch, sums, width):
    mask = torch.rand(5, width) < torch.tensor([0.0, 0.1, 0.5, 0.9, 1.1])[:, None]
    assert sums.tally(mask).tolist() == mask.sum(dim=1).tolist()


def test_energy_is_of_the_dtype(sums):
    assert sums.energy_of(np.array([12.0]), "BF16").tolist() == [2.0**-14]
