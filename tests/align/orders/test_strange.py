"""A few rows tell what is in place."""

import numpy as np
from common.rearranged import dense, taken, tuned
from conftest import BF16, opened
from parentage.align.orders import strange
from parentage.align.orders.strange import is_in_place, mates_of, strange_rows
from parentage.stream import Options

OPTIONS = Options(2)
UP = "model.layers.1.mlp.up_proj.weight"


def shares(folder, child, other, layers=None):
    one, two = opened(folder, "one", child), opened(folder, "two", other)
    mates = mates_of(one, two, layers or {})
    found = strange_rows(one, two, mates, OPTIONS)
    return {each.mine.name: share for each, share in zip(mates, found, strict=True)}


def test_a_fine_tune_is_not_strange(tmp_path):
    assert set(shares(tmp_path, tuned(dense(1), 2), dense(1)).values()) == {0.0}


def test_rows_that_moved_are(tmp_path, monkeypatch):
    base = dense(1)
    order = [1, 0, *range(2, 48)]
    child = base | {UP: taken(base[UP], order)}
    found = shares(tmp_path, child, base)
    assert {name: share for name, share in found.items() if share} == {UP: 2 / 48}
    # However few are read at once.
    monkeypatch.setattr(strange, "AT_ONCE", 1 << 12)
    assert shares(tmp_path, child, base) == found


def test_what_is_zero_in_both_is_alike(tmp_path):
    base = dense(1) | {UP: np.zeros((48, 96), BF16)}
    assert shares(tmp_path, base, base)[UP] == 0.0


def test_only_matrices_of_one_width_are_mates(tmp_path):
    base = dense(1)
    wider = base | {UP: np.zeros((48, 97), BF16), "only": np.zeros((2, 2), BF16)}
    names = set(shares(tmp_path, wider, base))
    assert UP not in names
    assert not any("norm" in name or name == "only" for name in names)


def test_layers_that_moved_are_looked_up_where_they_are(tmp_path):
    base = dense(1)
    found = shares(tmp_path, base, base, {0: 1, 1: None})
    assert found[UP.replace(".1.", ".0.")] == 1.0
    assert UP not in found


def test_a_run_of_a_few_matrices_tells_whether_they_are_in_place(tmp_path, monkeypatch):
    monkeypatch.setattr(strange, "FAR_RUN", 96)
    base = dense(1)
    two = opened(tmp_path, "two", base)
    near = opened(tmp_path, "near", tuned(base, 2))
    assert is_in_place(near, two, {}, OPTIONS)
    turned = {name: each[::-1].copy() if each.ndim == 2 else each for name, each in base.items()}
    assert not is_in_place(opened(tmp_path, "turned", turned), two, {}, OPTIONS)
    assert not is_in_place(opened(tmp_path, "stranger", dense(7)), two, {}, OPTIONS)


def test_where_there_is_nothing_to_look_at_nothing_is_said_to_be_in_place(tmp_path):
    one = opened(tmp_path, "one", {"w": np.ones((2, 2), BF16)})
    assert not is_in_place(one, one, {}, OPTIONS)
