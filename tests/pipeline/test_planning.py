"""Plans and sums: the same slices and bits as a trace, over memory that changes, without a leak."""

import gc
import resource

import numpy as np
import parentage
import pytest
from conftest import BF16, write_checkpoint
from parentage.stream import Progress
from parentage.support import PlanError, ReadError

RNG = np.random.default_rng


def relatives(shape=(64, 96), dtype=np.float32, names=("a.weight", "b.weight")):
    """Return base, parent and child = 0.25 parent + 0.75 base."""
    rng = RNG(3)
    base = {name: rng.normal(size=shape).astype(dtype) for name in names}
    parent = {x: (y + 0.1 * rng.normal(size=shape)).astype(dtype) for x, y in base.items()}
    child = {x: (0.25 * parent[x].astype(np.float64) + 0.75 * base[x]).astype(dtype) for x in names}
    return base, parent, child


def test_sums_are_inner_products_of_displacements():
    base, parent, child = relatives(names=("a.weight",))
    found = parentage.gram(
        child, base=base, parents=[parent], controls=[{"a.weight": -child["a.weight"]}]
    )
    b = base["a.weight"].astype(np.float64)
    columns = [b, parent["a.weight"] - b, -child["a.weight"] - b, child["a.weight"] - b]
    exact = np.array([[np.sum(one * other) for other in columns] for one in columns])
    lengths = np.sqrt(np.diag(exact))
    assert (abs(found.gram[0] - exact) <= 1e-8 * np.outer(lengths, lengths)).all()
    assert found.columns == ("in memory#2", "in memory#3", "in memory#4", "in memory")
    assert (found.slices, found.n.tolist()) == (("a.weight",), [64 * 96])
    assert found.blocks.shape == (1, parentage._core.BLOCKS, 4, 4)
    weight = np.linalg.solve(found.total[1:2, 1:2], found.total[1:2, -1])
    assert weight == pytest.approx([0.25], abs=1e-3)


def test_what_is_not_finite_is_counted_and_takes_no_part():
    base, parent, child = relatives()
    base["a.weight"][0, 0] = np.nan
    child["b.weight"][1, 1] = np.inf
    found = parentage.gram(child, base=base, parents=parent)
    assert found.excluded.tolist() == [1, 1]
    assert found.nan.tolist() == [[1, 0, 0], [0, 0, 0]]
    assert found.inf.tolist() == [[0, 0, 0], [0, 0, 1]]
    assert np.isfinite(found.gram).all()


def test_a_plan_has_the_slices_and_sums_of_a_trace(family):
    offered = {"base": family("base"), "parents": [family("parent")]}
    plan = parentage.plan(family("child"), **offered)
    trace = parentage.trace(family("child"), **offered)
    found = plan.gram()
    assert found.columns == plan.columns == ("base", "parent", "child")
    assert list(found.slices) == trace.sums["slice"].to_list()
    assert found.n.tolist() == trace.sums["n"].to_list()
    rows, columns = np.triu_indices(3)
    assert found.gram[:, rows, columns].tolist() == trace.sums["gram"].to_list()
    assert [each.name for each in plan.slices] == list(found.slices)
    assert plan.unaligned == ()
    assert plan.bytes == 3 * 2 * 294_488
    assert repr(plan).startswith("<Plan of 23 slices over base, parent, child")


def test_what_took_no_part_is_told():
    base, _, child = relatives()
    child["c.weight"] = np.ones((3, 3), np.float32)
    plan = parentage.plan(child, base=base)
    assert [(each.tensor, each.elements) for each in plan.unaligned] == [("c.weight", 9)]


def test_a_checkpoint_that_has_too_little_is_no_column():
    base, _, child = relatives(names=("a.weight", "b.weight", "c.weight"))
    with pytest.raises(PlanError, match="in memory#3 has too little of in memory to be a column"):
        parentage.plan(child, base=base, parents=[{"a.weight": child["a.weight"] + 1}])
    with pytest.raises(PlanError):
        parentage.plan(child, base={"x.weight": np.ones((3, 3), np.float32)})


def test_what_is_written_between_two_calls_shows_in_the_second():
    base, parent, child = relatives(dtype=BF16)
    plan = parentage.plan(child, base=base, parents=parent)
    first = plan.gram()
    child["a.weight"][:] = parent["a.weight"]
    second = plan.gram()
    assert second.equal[0].tolist() == [
        int((parent["a.weight"] == base["a.weight"]).sum()),
        64 * 96,
    ]
    assert (first.gram[1] == second.gram[1]).all()
    assert second.gram.tobytes() == parentage.gram(child, base=base, parents=parent).gram.tobytes()


def test_files_that_changed_since_are_an_error(tmp_path):
    base, _, child = relatives()
    path = write_checkpoint(tmp_path / "base", base)
    plan = parentage.plan(child, base=path)
    plan.gram()
    write_checkpoint(tmp_path / "base", {x: y + np.float32(1.0) for x, y in base.items()})
    with pytest.raises(ReadError):
        plan.gram()


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 4, "tile_bytes": 4096}])
def test_no_option_changes_a_bit(options):
    base, parent, child = relatives(shape=(300, 500))
    one = parentage.gram(child, base=base, parents=parent)
    other = parentage.gram(child, base=base, parents=parent, **options)
    assert one.blocks.tobytes() == other.blocks.tobytes()


def test_options_out_of_their_range_are_refused():
    base, _, child = relatives()
    with pytest.raises(ValueError, match="threads"):
        parentage.plan(child, base=base, threads=0)
    with pytest.raises(ValueError, match="no instruction set"):
        parentage.gram(child, base=base, level="none")


def test_who_watches_is_told_and_may_stop():
    base, _, child = relatives()

    class Stop(Progress):
        def update(self, done):  # noqa: ARG002
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parentage.gram(child, base=base, progress=Stop())

    class Watch(Progress):
        total = done = 0

        def start(self, total):
            self.total = total

        def update(self, done):
            self.done = done

    watch = Watch()
    parentage.gram(child, base=base, progress=watch)
    assert watch.done == watch.total == 2 * 4 * 2 * 64 * 96


def test_a_loop_takes_no_memory():
    names = [f"layers.{n}.weight" for n in range(10)]
    base, parent, child = relatives(shape=(100, 100), names=names)
    plan = parentage.plan(child, base=base, parents=parent)
    for _ in range(20):
        plan.gram()
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1500):
        plan.gram()
    for _ in range(50):
        parentage.plan(child, base=base, parents=parent)
    gc.collect()
    # Results of some kilobytes a call would show, and so would tensors of a plan.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10


@pytest.mark.torch
def test_a_step_of_training_shows_in_the_next_call():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Linear(32, 16).to(torch.bfloat16)
    before = {name: x.clone() for name, x in model.state_dict().items()}
    plan = parentage.plan(model.state_dict(), base=before)
    assert plan.gram().total[-1, -1] == 0.0
    model(torch.ones(1, 32, dtype=torch.bfloat16)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.5).step()
    moved = sum(
        float(((x.double() - before[name].double()) ** 2).sum())
        for name, x in model.state_dict().items()
    )
    assert plan.gram().total[-1, -1] == pytest.approx(moved)
    assert moved > 0.0
