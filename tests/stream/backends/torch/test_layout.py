"""Chunks are cut as the core cuts them. Nothing here needs torch."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from parentage import _core
from parentage.stream.backends.torch.layout import LEAST_NARROW, batches, chunks_of, padded

SIZES = st.lists(st.integers(0, 5_000_000), min_size=1, max_size=6)


@given(SIZES)
def test_chunks_are_pieces_of_blocks(sizes):
    found = chunks_of(np.array(sizes))
    expected = []
    for slice_, size in enumerate(sizes):
        step = _core.BLOCKS // (1 << (min(max(size // 4096, 1), 16).bit_length() - 1))
        for block in range(_core.BLOCKS):
            start, end = (size * each // _core.BLOCKS for each in (block, block + 1))
            for first in range(start, end, _core.CHUNK):
                is_sampled = first == start and block % step == 0
                expected.append((slice_, block, first, min(_core.CHUNK, end - first), is_sampled))
    rows = zip(
        found.slices.tolist(), found.blocks.tolist(), found.starts.tolist(),
        found.lengths.tolist(), found.sampled.tolist(), strict=True,
    )  # fmt: skip
    assert list(rows) == expected


def test_blocks_of_any_size_are_counted():
    found = chunks_of(np.array([(1 << 36) + 7]))
    assert int(found.lengths.sum()) == (1 << 36) + 7


@given(st.lists(st.integers(1, _core.CHUNK), min_size=1))
def test_chunks_are_filled_up_by_an_eighth_at_most(lengths):
    given_, found = np.array(lengths), padded(np.array(lengths))
    assert (found >= given_).all()
    assert (found % 8 == 0).all()
    assert (found[given_ >= LEAST_NARROW] % 8192 == 0).all()
    most = np.where(given_ >= LEAST_NARROW, given_ + 8191, given_ * 9 // 8 + 8)
    assert (found <= most).all()


@given(SIZES, st.integers(1, 1 << 20), st.integers(1, 50))
def test_batches_are_of_every_chunk_once(sizes, elements, rows):
    chunks = chunks_of(np.array(sizes))
    kinds = [("BF16", "BF16") if row % 2 else ("F32", "BF16") for row in range(len(sizes))]
    found = list(batches(chunks, kinds, elements, rows))
    seen = np.concatenate([each.index for each in found]) if found else np.zeros(0, dtype=int)
    assert sorted(seen.tolist()) == list(range(len(chunks)))
    for each in found:
        assert len(each.index) <= rows
        assert len(each.index) * each.width <= elements or len(each.index) == 1
        assert (each.chunks.lengths <= each.width).all()
        assert {kinds[row] for row in each.chunks.slices.tolist()} == {each.dtypes}
        # Those of narrow arithmetic are not among the others.
        assert len(set((each.chunks.lengths >= LEAST_NARROW).tolist())) == 1
        assert (np.diff(each.index) > 0).all()


def test_part_of_a_batch_is_a_batch():
    (batch,) = batches(chunks_of(np.array([1600])), [("F32",)], 1 << 20)
    part = batch.rows(np.array([3, 5]))
    assert part.index.tolist() == [3, 5]
    assert part.chunks.blocks.tolist() == [3, 5]
    assert len(part.chunks) == 2
