"""Words are found by their rows: cut, added, in another order."""

import numpy as np
import pytest
from common.rearranged import WORDS, dense, tuned, with_words
from conftest import BF16, opened
from parentage.align.orders.lines import Lines
from parentage.align.orders.strange import mates_of
from parentage.align.orders.vocabulary import is_vocabulary, mean_rows, vocabulary_rows
from parentage.stream import Options

EMBED = "model.embed_tokens.weight"


def rows(folder, child, other):
    one, two = opened(folder, "one", child), opened(folder, "two", other)
    (mates,) = [each for each in mates_of(one, two, {}) if is_vocabulary(each)]
    return vocabulary_rows(one, two, mates, Options(2))


@pytest.mark.parametrize("share", [0.0, 0.1])
@pytest.mark.parametrize("count", [WORDS, WORDS - 50])
def test_words_in_another_order_are_found(tmp_path, share, count):
    base = dense(1)
    order = np.random.default_rng(2).permutation(WORDS)[:count].tolist()
    child = with_words(tuned(base, 3, share) if share else base, order)
    assert rows(tmp_path, child, base) == Lines(True, tuple(order), WORDS)


def test_what_is_in_place_or_cut_at_the_end_has_no_order(tmp_path):
    base = dense(1)
    assert rows(tmp_path / "a", tuned(base, 2), base) is None
    assert rows(tmp_path / "b", with_words(base, range(150)), base) is None


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_words_added_as_copies_are_of_what_those_are(tmp_path, share):
    base = dense(1)
    order = [*range(WORDS), 7, 7, 100]
    child = with_words(tuned(base, 3, share) if share else base, order)
    assert rows(tmp_path, child, base) == Lines(True, tuple(order), WORDS)


def test_words_added_as_means_are_of_none(tmp_path):
    base = dense(1)
    mean = base[EMBED].astype(np.float32).mean(axis=0, keepdims=True).astype(base[EMBED].dtype)
    child = base | {EMBED: np.concatenate([base[EMBED], mean, mean])}
    assert rows(tmp_path, child, base) is None


@pytest.mark.parametrize("dtype", [BF16, np.float16, np.float32])
def test_words_added_as_means_are_told(tmp_path, dtype):
    base = {EMBED: dense(1)[EMBED].astype(dtype)}
    mean = base[EMBED].astype(np.float32).mean(axis=0, keepdims=True).astype(dtype)
    other = (mean.astype(np.float32) * 1.05).astype(dtype)
    child = {EMBED: np.concatenate([base[EMBED], mean, other, mean])}
    one, two = opened(tmp_path, "one", child), opened(tmp_path, "two", base)
    (mates,) = mates_of(one, two, {})
    assert mean_rows(one, mates, Options(2)) == [WORDS, WORDS + 2]
    (alone,) = mates_of(two, two, {})
    assert mean_rows(two, alone, Options(2)) == []


def test_two_that_changed_places_alone_are_found(tmp_path):
    base = dense(1)
    order = [1, 0, *range(2, WORDS)]
    assert rows(tmp_path, with_words(base, order), base).sources == tuple(order)


def test_strangers_have_no_order(tmp_path):
    assert rows(tmp_path, dense(1), dense(2)) is None


def test_rows_of_zeros_are_one_another(tmp_path):
    base = dense(1)
    table = base[EMBED].copy()
    table[[3, 4]] = 0.0
    base = base | {EMBED: table}
    order = [*range(WORDS), 3]
    found = rows(tmp_path, with_words(base, order), base)
    assert table[list(found.sources)].tobytes() == table[order].tobytes()
