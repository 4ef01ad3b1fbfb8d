import os

import numpy as np
import pytest
from common.devices import related
from conftest import opened
from parentage import _core
from parentage.align import align
from parentage.stream.backends.torch.layout import batches, chunks_of

pytestmark = pytest.mark.torch


def filled(source, plan, first, last):
    """Every column of every chunk, from the buffers."""
    made = source.Source(plan)
    found = [[] for _ in range(plan.columns)]
    elements = made.extents.elements[first:last]
    kinds = made.extents.dtypes[first:last]
    with source.Reader(made) as reader:
        parts = list(batches(chunks_of(elements), kinds, 1 << 20))
        order = np.concatenate([each.index for each in parts])
        for batch in parts:
            for column, name in enumerate(batch.dtypes):
                width = {"BF16": 2, "F32": 4, "F16": 2}[name]
                out = np.full((len(batch.chunks), batch.width * width), 7, dtype=np.uint8)
                reader.fill(batch, first, column, out)
                for row, length in enumerate(batch.chunks.lengths.tolist()):
                    assert not out[row, length * width :].any()
                    found[column].append(out[row, : length * width].tobytes())
    return [[each[i] for i in np.argsort(order)] for each in found]


@pytest.mark.parametrize("shards", [1, 3])
def test_bytes_are_those_of_the_files(tmp_path, source, shards):
    random = np.random.default_rng(0)
    sizes = [5, 100_000, 1_100_003, 17]
    columns = []
    for number, kind in enumerate(("f4", "f2")):
        tensors = {"": np.zeros(1 + number, np.int8)}
        tensors |= {f"w{i}": random.normal(0, 1, size).astype(kind) for i, size in enumerate(sizes)}
        columns.append((opened(tmp_path, f"c{number}", tensors, shards=shards), tensors))
    alignment = align(columns[1][0], [columns[0][0]])
    names = [each.name for each in alignment.slices]
    for first in (0, 1):
        found = filled(source, alignment.plan, first, len(names))
        for column, (_, tensors) in enumerate(columns):
            expected = b"".join(tensors[name].tobytes() for name in names[first:])
            assert b"".join(found[column]) == expected


def test_what_is_no_plain_float_is_not_held(tmp_path, source):
    tensors = {"a": np.arange(9, dtype=np.int32), "b": np.ones(9, np.float32)}
    one, two = (opened(tmp_path, name, tensors) for name in ("one", "two"))
    made = source.Source(align(two, [one]).plan)
    kinds = dict(zip(made.extents.dtypes, made.extents.held.tolist(), strict=True))
    assert kinds == {("F32", "F32"): True, ("I32", "I32"): False}


def test_a_file_that_is_shorter_now_is_an_error(tmp_path, source):
    alignment = related(tmp_path, ["F32", "F32"], [100_000], "near", seed=0)
    made = source.Source(alignment.plan)
    path = tmp_path / "c0" / "model.safetensors"
    (batch,) = batches(chunks_of(made.extents.elements), made.extents.dtypes, 1 << 20)
    out = np.zeros((len(batch.chunks), batch.width * 4), dtype=np.uint8)

    def cut_meanwhile():
        with source.Reader(made) as reader:
            os.truncate(path, path.stat().st_size - 1000)
            with pytest.raises(_core.ReadError, match=r'c0.*tensor "w00": the file ends 1000 byte'):
                reader.fill(batch, 0, 0, out)

    # What was read of a file that changed is not used.
    with pytest.raises(_core.ReadError, match=r"c0/model\.safetensors"):
        cut_meanwhile()
    with pytest.raises(_core.ReadError, match=r"c0/model\.safetensors"), source.Reader(made):
        pass


def test_systems_without_preadv_read_the_same(tmp_path, source, monkeypatch):
    alignment = related(tmp_path, ["F32", "BF16"], [100_000, 3], "near", seed=0)
    expected = filled(source, alignment.plan, 0, 2)
    monkeypatch.delattr(os, "preadv")
    assert filled(source, alignment.plan, 0, 2) == expected
    monkeypatch.delattr(os, "pread")
    assert filled(source, alignment.plan, 0, 2) == expected
