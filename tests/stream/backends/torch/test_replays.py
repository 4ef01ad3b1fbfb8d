import numpy as np
import pytest
from common.devices import MODES, differences, gram_differences, related, replays_of
from parentage import _core
from parentage.stream import Program

pytestmark = pytest.mark.torch

SIZES = [1, 300, 4097, 70_001, 200_003]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "kinds",
    [
        ["BF16"] * 3,
        ["F16"] * 2,
        ["F32"] * 3,
        ["F32", "F64", "F64"],
        ["BF16", "F32", "F8_E4M3"],
        ["F16", "F8_E4M3", "F8_E5M2"],
    ],
)
def test_counts_are_the_core_s(tmp_path, backend, kinds, mode):
    alignment = related(tmp_path, kinds, SIZES, mode, seed=5)
    replays = replays_of(alignment, kinds[-1])
    plan = alignment.plan
    found, expected = (
        each.replay_slices(plan, 0, plan.slices, replays, threads=2) for each in (backend, _core)
    )
    assert differences(found, expected) == []
    assert expected.mismatched.any()


def test_they_are_carried_out_in_the_pass_that_sums(tmp_path, backend):
    alignment = related(tmp_path, ["BF16"] * 3, SIZES, "near", seed=6)
    assert gram_differences(backend, alignment, replays_of(alignment, "BF16")) == []


def test_every_operation_is_there(tmp_path, backend):
    alignment = related(tmp_path, ["BF16", "BF16", "BF16"], [5000, 90_000], "holes", seed=8)
    program = Program(len(alignment.slices))
    a, b = program.column(0), program.column(1)
    random = np.random.default_rng(0)
    matrices = [
        (random.normal(0, 1, (each.elements // 50, 3)), random.normal(0, 1, (3, 50)))
        for each in alignment.slices
    ]
    matrices[0] = None
    low = program.low_rank(matrices)
    values = [
        a + b, a - b, a * b, a / b, program.fma(a, b, a), abs(a), program.maximum(a, b),
        program.minimum(a, b), a > b, a >= b, program.select(a > b, a, b), low + a,
        program._add("reversed", (1,)), a.round("F16"), (a / b).round("F8_E4M3"),
        (a * program.scalar(7e4)).round("F8_E5M2"), program.scalar(0.5),
    ]  # fmt: skip
    replays = [program.replay([each]) for each in values]
    plan = alignment.plan
    found, expected = (
        each.replay_slices(plan, 0, plan.slices, replays, threads=2) for each in (backend, _core)
    )
    assert differences(found, expected) == []
    # All operations have different results.
    assert len({each.tobytes() for each in np.moveaxis(expected.ulps, 1, 0)}) > 10


def test_a_replay_that_does_not_fit_is_the_core_s_error(tmp_path, backend):
    alignment = related(tmp_path, ["BF16"] * 2, [70_000], "near", seed=9)
    program = Program(2)
    replay = program.replay([program.column(0) * program.scalar(0.5)])
    with pytest.raises(ValueError, match="scalars") as found:
        backend.replay_slices(alignment.plan, 0, 1, [replay], threads=1)
    with pytest.raises(ValueError, match="scalars") as expected:
        _core.replay_slices(alignment.plan, 0, 1, [replay], threads=1)
    assert str(found.value) == str(expected.value)


def test_distances_beyond_64_bits_are_far(torch, replays):
    ours = torch.tensor([5, 2**63 - 1, 7, 0])
    theirs = torch.tensor([4, -(2**63) + 1, 7, 70])
    bins, is_zero = replays._distance(ours, theirs)
    assert bins.tolist() == [0, 7, 0, 7]
    assert is_zero.tolist() == [False, False, True, False]
