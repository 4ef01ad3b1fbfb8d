import json
import os
import subprocess
import sys
from dataclasses import fields, is_dataclass

import numpy as np
import parentage
import pytest
from conftest import BF16, FAMILY, opened, roles_in, write_checkpoint
from parentage import _core
from parentage.align import align, is_matrix
from parentage.checkpoint import Checkpoint
from parentage.statistics import full_pass
from parentage.stream import Options, Progress
from parentage.support import ReadError


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A family whose slices are of many lengths and dtypes, in shards, with odd file offsets."""
    folder = tmp_path_factory.mktemp("varied")
    random = np.random.default_rng(0)
    sizes = {f"model.layers.{i}.mlp.up_proj.weight": 3001 * 4**i for i in range(5)}
    sizes |= {"model.embed_tokens.weight": 1_200_000, "model.norm.weight": 5}
    checkpoints = []
    for number, dtype in enumerate((BF16, BF16, np.float32, BF16)):
        tensors = {"": np.zeros(1 + 2 * number, np.int8)}  # what follows it is not aligned
        for name, size in sizes.items():
            values = np.random.default_rng(len(name)).normal(0, 0.02, size)
            values += number * random.normal(0, 0.001, size)
            tensors[name] = values.astype(np.float32 if size == 5 else dtype)
        experts = random.normal(0, 0.02, (3, 40, 50)).astype(np.float16)
        tensors["model.layers.1.mlp.experts.up_proj"] = experts
        checkpoints.append(opened(folder, f"c{number}", tensors, shards=1 + number))
    return checkpoints


@pytest.fixture(scope="module")
def varied(checkpoints):
    return align(checkpoints[-1], checkpoints[:-1])


def bits(statistics):
    """Every number of a result."""
    found = []
    for each in fields(statistics):
        value = getattr(statistics, each.name)
        if is_dataclass(value):
            found += bits(value)
        elif isinstance(value, np.ndarray):
            found.append((each.name, value.shape, value.tobytes()))
        else:
            found.append((each.name, value))
    return found


@pytest.fixture(scope="module")
def reference(varied):
    return bits(
        full_pass(varied, roles_in(varied, 1), Options(threads=1, io="pread", level="scalar"))
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_threads_and_io_change_no_bit(varied, reference, threads, io):
    assert bits(full_pass(varied, roles_in(varied, 1), Options(threads, io=io))) == reference


@pytest.mark.parametrize("tile_bytes", [4096, 65536, 1 << 20, 1 << 30])
@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_tile_sizes_change_no_bit(varied, reference, tile_bytes, io):
    assert bits(full_pass(varied, roles_in(varied, 1), Options(2, tile_bytes, io))) == reference


@pytest.mark.parametrize("level", _core.levels())
def test_instruction_sets_change_no_bit(varied, reference, level):
    assert bits(full_pass(varied, roles_in(varied, 1), Options(2, level=level))) == reference


def test_the_level_of_the_environment_is_taken(monkeypatch):
    monkeypatch.setenv("PARENTAGE_LEVEL", "scalar")
    assert _core.simd_level() == "scalar"
    monkeypatch.setenv("PARENTAGE_LEVEL", "mmx")
    with pytest.raises(ValueError, match=r"PARENTAGE_LEVEL.*mmx"):
        _core.simd_level()
    monkeypatch.delenv("PARENTAGE_LEVEL")
    assert _core.simd_level() == _core.levels()[-1]


@pytest.mark.parametrize("chunks", [1, 7, 40])
def test_ranges_change_no_bit(varied, reference, chunks, monkeypatch):
    monkeypatch.setattr("parentage.stream.passes.RANGE_CHUNKS", chunks)
    assert len(varied.plan.ranges(chunks)) > 1
    assert bits(full_pass(varied, roles_in(varied, 1), Options(2))) == reference


def test_ranges_are_all_slices_in_order(varied):
    for chunks in (1, 20, 1 << 15):
        ranges = varied.plan.ranges(chunks)
        covered = [i for first, last in ranges for i in range(first, last)]
        assert covered == list(range(varied.plan.slices))
        assert all(first < last for first, last in ranges)


class Witness(Progress):
    """A watcher that remembers what it was told."""

    def __init__(self):
        self.totals = []
        self.seen = []

    def start(self, total):
        self.totals.append(total)

    def update(self, done):
        self.seen.append(done)


@pytest.mark.parametrize("chunks", [7, 1 << 15])
def test_a_watcher_sees_the_bytes_rise_to_the_total(checkpoints, varied, monkeypatch, chunks):
    monkeypatch.setattr("parentage.stream.passes.RANGE_CHUNKS", chunks)
    witness = Witness()
    full_pass(varied, roles_in(varied, 1), Options(2, level="scalar"), witness)
    tensors = [tensor for each in checkpoints for tensor in each.tensors.values()]
    assert witness.totals == [sum(each.end - each.begin for each in tensors if each.name)]
    assert witness.seen == sorted(witness.seen)
    assert witness.seen[-1] == witness.totals[0]


class Stopped(Exception):  # noqa: N818
    """Raised by a watcher."""


def big(folder, name, megabytes=48):
    """A checkpoint of one sparse file of zeros, which is read in several times 50 ms."""
    path = folder / f"{name}.safetensors"
    size = megabytes << 20
    entry = {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}
    header = json.dumps({"model.embed_tokens.weight": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + size)
    return Checkpoint.open(path)


def slowly(io):
    return Options(1, 65536, io, "scalar")


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_watcher_that_raises_stops_the_pass(tmp_path, io):
    alignment = align(big(tmp_path, "child"), [big(tmp_path, "base")])

    class Stopper(Witness):
        def update(self, done):
            super().update(done)
            raise Stopped(f"after {done} bytes")

    stopper = Stopper()
    with pytest.raises(Stopped, match=r"after \d+ bytes"):
        full_pass(alignment, roles_in(alignment, 0), slowly(io), stopper)
    assert len(stopper.seen) == 1, "a watcher that has raised is left alone"
    assert stopper.seen[0] < stopper.totals[0]


def test_a_watcher_that_raises_at_the_very_end_is_heard(varied):
    class Stopper(Witness):
        def update(self, done):
            if done == self.totals[0]:
                raise Stopped

    with pytest.raises(Stopped):
        full_pass(varied, roles_in(varied, 1), Options(2), Stopper())


def pair(tmp_path):
    tensors = {"model.embed_tokens.weight": np.ones(4000, BF16), "z": np.ones(4000, BF16)}
    checkpoints = [opened(tmp_path, name, tensors) for name in ("base", "child")]
    return align(checkpoints[1], checkpoints[:1]), tmp_path / "child" / "model.safetensors"


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_cut_short_after_opening_is_an_error(tmp_path, io):
    alignment, path = pair(tmp_path)
    os.truncate(path, path.stat().st_size - 2)
    with pytest.raises(
        ReadError, match=r"child.model\.safetensors: tensor .*: the file had .* bytes"
    ):
        full_pass(alignment, roles_in(alignment, 0), Options(1, io=io))


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_written_to_after_opening_is_an_error(tmp_path, io):
    alignment, path = pair(tmp_path)
    before = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(
        ReadError, match=r"child.model\.safetensors: tensor .*: the file was written to"
    ):
        full_pass(alignment, roles_in(alignment, 0), Options(1, io=io))


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_removed_after_opening_is_an_error(tmp_path, io):
    alignment, path = pair(tmp_path)
    path.unlink()
    with pytest.raises(ReadError, match=r"child.model\.safetensors"):
        full_pass(alignment, roles_in(alignment, 0), Options(1, io=io))


class Saboteur(Witness):
    """Does something to a file once the pass has begun."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def update(self, done):
        super().update(done)
        if len(self.seen) == 1:
            self.act()


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_cut_short_while_it_is_read_is_an_error_that_names_the_tensor(tmp_path, io):
    child = big(tmp_path, "child")
    alignment = align(child, [big(tmp_path, "base")])
    path = child.shards[0].path
    saboteur = Saboteur(lambda: os.truncate(path, 100_000))
    with pytest.raises(ReadError) as raised:
        full_pass(alignment, roles_in(alignment, 0), slowly(io), saboteur)
    assert saboteur.seen[0] < saboteur.totals[0], "it was cut too late to tell anything"
    for part in (str(path), 'tensor "model.embed_tokens.weight": ', "at byte "):
        assert part in str(raised.value)


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_written_to_while_it_is_read_is_an_error(tmp_path, io):
    child = big(tmp_path, "child")
    alignment = align(child, [big(tmp_path, "base")])
    path = child.shards[0].path

    def overwrite():
        with path.open("r+b") as file:
            file.seek(-2, os.SEEK_END)
            file.write(b"\x80\x3f")

    saboteur = Saboteur(overwrite)
    with pytest.raises(ReadError, match=r"child\.safetensors: the file was written to"):
        full_pass(alignment, roles_in(alignment, 0), slowly(io), saboteur)
    assert saboteur.seen[0] < saboteur.totals[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads must be 1 to 1024, not 0"),
        ({"threads": 1025}, "threads must be 1 to 1024, not 1025"),
        ({"tile_bytes": 4095}, "tile bytes must be 4096 to 1073741824, not 4095"),
        ({"tile_bytes": (1 << 30) + 1}, "tile bytes must be"),
        ({"io": "aio"}, "io must be mmap, pread or direct"),
        ({"level": "mmx"}, "no instruction set is called"),
        ({"level": "neon" if "avx2" in _core.levels() else "avx2"}, "this CPU has no"),
    ],
)
def test_options_out_of_range_are_refused(varied, options, message):
    with pytest.raises(ValueError, match=message):
        full_pass(varied, roles_in(varied, 1), Options(**{"threads": 1, **options}))


def test_no_thread_is_refused_by_trace_too(family):
    with pytest.raises(ValueError, match="threads must be 1 to 1024, not 0"):
        parentage.trace(family("child"), base=family("base"), parents=[family("parent")], threads=0)


def test_slices_out_of_range_are_refused(varied):
    for first, last in [(1, 0), (0, varied.plan.slices + 1)]:
        with pytest.raises(ValueError, match="slices"):
            _core.gram(varied.plan, first, last, threads=1)
        with pytest.raises(ValueError, match="slices"):
            varied.plan.bytes(first, last)


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_reading_alone_gives_one_checksum(varied, io):
    def checksum(threads, tile_bytes, io):
        plan = varied.plan
        return _core.read(plan, 0, plan.slices, threads=threads, tile_bytes=tile_bytes, io=io)

    assert checksum(3, 1 << 20, io) == checksum(1, 1 << 20, "pread")


def test_layers_components_and_the_model_are_sums_of_slices(family, weights):
    checkpoints = [Checkpoint.open(family(name)) for name in FAMILY]
    alignment = align(checkpoints[3], checkpoints[:3])
    found = full_pass(alignment, roles_in(alignment, 2), Options(2))
    child = weights["child"]
    layered = [name for name in child if ".layers." in name]
    assert found.layer_numbers == (0, 1)
    assert found.layers.n.sum() == sum(child[name].size for name in layered)
    assert found.components.n.sum() == found.model.n[0] == sum(x.size for x in child.values())
    for count in ("n", "moved", "stray", "excluded"):
        each = getattr(found.slices, count).sum()
        assert each == getattr(found.components, count).sum() == getattr(found.model, count)[0]
    total = found.slices.estimates.gram.sum(axis=0)
    assert found.components.estimates.gram.sum(axis=0) == pytest.approx(total, rel=1e-12)
    assert found.model.estimates.gram[0] == pytest.approx(total, rel=1e-12)
    assert found.model.residual[0] == pytest.approx(found.slices.residual.sum(), rel=1e-12)


def test_matrices_are_summed_apart_from_vectors(tmp_path):
    tensors = {"m": np.ones((4, 5), BF16), "v": np.ones((1, 7, 1), BF16), "s": np.ones((), BF16)}
    checkpoints = [opened(tmp_path, name, tensors) for name in ("base", "child")]
    alignment = align(checkpoints[1], checkpoints[:1])
    assert is_matrix(alignment.slices).tolist() == [True, False, False]
    found = full_pass(alignment, roles_in(alignment, 0), Options(1))
    assert found.matrices.tolist() == [[20, 0], [0, 0]]
    assert found.model.estimates.gram[0].tolist() == [[28, 0], [0, 0]]


def test_layers_of_other_towers_are_not_summed_with_those_of_the_body(tmp_path):
    names = ["model.layers.0.mlp.up_proj.weight", "model.visual.blocks.0.mlp.fc1.weight"]
    tensors = {name: np.ones((4, 4), BF16) for name in [*names, "mtp.layers.0.fc.weight"]}
    checkpoints = [opened(tmp_path, name, tensors) for name in ("base", "child")]
    alignment = align(checkpoints[1], checkpoints[:1])
    found = full_pass(alignment, roles_in(alignment, 0), Options(1))
    assert found.layers.n.tolist() == [16]


TRACE_AND_WATCH_MEMORY = """
import sys, threading, time
import parentage, parentage.pipeline
from pathlib import Path

def held():
    status = Path("/proc/self/status").read_text()
    rows = dict(line.split(":", 1) for line in status.splitlines())
    return [int(rows[key].split()[0]) for key in ("RssAnon", "RssFile")]

child, base, parent, small, io = sys.argv[1:]
# Libraries allocate when they are first used: that is no part of what grows with the input.
parentage.trace(f"{small}/child", base=f"{small}/base", parents=[f"{small}/parent"], io=io)
before, samples, over = held(), [], threading.Event()

def sample():
    while not over.wait(0.001):
        samples.append(held())

watcher = threading.Thread(target=sample)
watcher.start()
found = parentage.trace(child, base=base, parents=[parent], threads=2, io=io)
over.set()
watcher.join()
assert found.elements == found.elements_total
for kind in (0, 1):
    print(max(each[kind] for each in samples) - before[kind])
print(len(samples))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
@pytest.mark.parametrize(
    ("io", "megabytes"),
    [
        ("mmap", 200),
        ("pread", 200),
        pytest.param("mmap", 800, marks=pytest.mark.slow),
        pytest.param("pread", 800, marks=pytest.mark.slow),
    ],
)
def test_memory_does_not_grow_with_the_checkpoint(tmp_path, family, io, megabytes):
    """In KiB: anonymous memory, and mapped pages that are held at once."""
    paths = [big(tmp_path, name, megabytes).path for name in ("child", "base", "parent")]
    arguments = [*map(str, paths), str(family("base").parent), io]
    done = subprocess.run(
        [sys.executable, "-c", TRACE_AND_WATCH_MEMORY, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    anonymous, mapped, samples = map(int, done.stdout.split())
    print(f"{anonymous} KiB anonymous, {mapped} KiB mapped, {samples} samples")
    assert samples > 10
    assert anonymous < 64 << 10
    # Three windows of 8 MiB for each of two threads, and as much again to be on the safe side.
    assert mapped < 96 << 10


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_more_shards_than_files_may_be_open_are_read(tmp_path, io):
    random = np.random.default_rng(4)
    names = [f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(60)]
    base = {name: random.normal(0, 0.02, (40, 30)).astype(np.float32) for name in names}
    child = {name: values + random.normal(0, 0.001, (40, 30)) for name, values in base.items()}
    child = {name: values.astype(np.float32) for name, values in child.items()}
    one, two = (
        write_checkpoint(tmp_path / name, tensors, shards=60)
        for name, tensors in (("base", base), ("child", child))
    )
    script = (
        "import resource, sys\n"
        "from parentage.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))\n"
        "main()"
    )
    command = [sys.executable, "-c", script, "trace", two, "--base", one, "--io", io, "--json"]
    found = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["model"]["n"] == 60 * 1200
