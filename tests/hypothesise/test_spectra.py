"""Cell spectra to show: those of the core, with decoys beside them, the same each time."""

import shutil

import numpy as np
import pytest
from conftest import BF16, write_checkpoint
from hypothesis import given
from hypothesis import strategies as st
from parentage.align import pair
from parentage.checkpoint import open_all
from parentage.hypothesise import SampleEstimates, spectra_of
from parentage.hypothesise.spectra import BINS, _coverage, _shifted
from parentage.stream import Options


def estimates_of(folder, child, parents, controls=(), threads=2, seed=None):
    inputs = open_all(folder / child, folder / "base", [folder / x for x in parents],
                      [folder / x for x in controls])  # fmt: skip
    options = Options(threads, None, "mmap", None)
    grouped = pair(inputs, options)
    return SampleEstimates(grouped.main.alignment, inputs.columns, options, seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A base, two parents, a control, and children that are blends of them, by layer or not."""
    folder, random = tmp_path_factory.mktemp("spectra"), np.random.default_rng(0)
    names = [f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(3)]
    base = {name: random.normal(0, 0.02, (48, 64)) for name in names}

    def moved():
        return {name: x + random.normal(0, 0.001, x.shape) for name, x in base.items()}

    def stored(tensors):
        return {name: x.astype(np.float32).astype(BF16) for name, x in tensors.items()}

    parents = {name: stored(moved()) for name in ("one", "two", "other")}
    based = stored(base)
    write_checkpoint(folder / "base", based)
    for name, tensors in parents.items():
        write_checkpoint(folder / name, tensors)

    def blend(weights):
        out = {}
        for layer, name in enumerate(names):
            total = based[name].astype(np.float64)
            for parent, weight in weights.items():
                gap = parents[parent][name].astype(np.float64) - based[name].astype(np.float64)
                total = total + (weight[layer] if isinstance(weight, list) else weight) * gap
            out[name] = total.astype(np.float32).astype(BF16)
        return out

    write_checkpoint(folder / "child", blend({"one": 0.6}))
    write_checkpoint(folder / "mixed", blend({"one": 0.5, "two": 0.3}))
    write_checkpoint(folder / "ramp", blend({"one": [0.2, 0.5, 0.8]}))
    write_checkpoint(folder / "beyond", blend({"one": 1.9}))
    return folder


def curve(spectra, parent, kind="parent", layer=None, component=None):
    (found,) = [
        each
        for each in spectra.curves
        if (each.parent, each.kind, each.layer, each.component) == (parent, kind, layer, component)
    ]
    return found


def peak(found):
    place = int(found.admitted.argmax())
    return float(found.weights[place]), int(found.admitted[place]) / found.intervals


def test_a_blend_has_a_peak_of_all_and_decoy_and_control_have_none(folder):
    spectra = spectra_of(estimates_of(folder, "child", ["one"], ["other"]))
    assert spectra.missing is None
    assert spectra.elements == 3 * 48 * 64
    assert peak(curve(spectra, "one")) == (0.6, 1.0)
    assert peak(curve(spectra, "one", "decoy"))[1] < 0.2
    assert peak(curve(spectra, "one", "control"))[1] < 0.2
    assert curve(spectra, "one", "control").checkpoint == "other"
    assert spectra.held["one"] == pytest.approx(0.6, abs=1e-5)


def test_each_of_several_parents_has_its_own_with_the_others_held(folder):
    spectra = spectra_of(estimates_of(folder, "mixed", ["one", "two"]))
    assert peak(curve(spectra, "one")) == (0.5, 1.0)
    assert peak(curve(spectra, "two")) == (0.3, 1.0)


def test_layers_have_their_own(folder):
    spectra = spectra_of(estimates_of(folder, "ramp", ["one"]))
    assert [peak(curve(spectra, "one", layer=layer))[0] for layer in range(3)] == [0.2, 0.5, 0.8]
    assert peak(curve(spectra, "one"))[1] < 0.7
    assert curve(spectra, "one", component="mlp").intervals == curve(spectra, "one").intervals
    assert spectra.held["one"] is None


def test_the_window_grows_with_the_weight(folder):
    weight, share = peak(curve(spectra_of(estimates_of(folder, "beyond", ["one"])), "one"))
    assert (weight, share) == (pytest.approx(1.9), 1.0)
    assert curve(spectra_of(estimates_of(folder, "beyond", ["one"])), "one").weights[-1] == 4.0


def test_counts_are_those_of_the_core(folder):
    estimates = estimates_of(folder, "child", ["one"], ["other"])
    found = curve(spectra_of(estimates), "one")
    step = found.weights[1] - found.weights[0]
    window = np.array([[found.weights[0] - step / 2, found.weights[-1] + step / 2]])
    count = len(estimates.slices)
    core = estimates.small.spectrum(
        np.zeros((count, estimates.small.columns - 1)),
        1,
        np.zeros(count, dtype=np.intp),
        window,
        BINS,
    )
    assert core.intervals[0, 1] == found.intervals
    # The ends of intervals that lie at the edge of a bin fall to either side of it.
    gap = np.abs(core.coverage[0, 1].astype(np.int64) - found.admitted.astype(np.int64))
    assert gap.max() <= 2


@pytest.mark.parametrize("threads", [1, 3])
def test_they_are_the_same_for_any_number_of_threads(folder, threads):
    one = spectra_of(estimates_of(folder, "mixed", ["one", "two"], ["other"]))
    two = spectra_of(estimates_of(folder, "mixed", ["one", "two"], ["other"], threads=threads))
    assert one.held == two.held
    for a, b in zip(one.curves, two.curves, strict=True):
        assert np.array_equal(a.admitted, b.admitted)
        assert (a.parent, a.kind, a.layer, a.intervals) == (b.parent, b.kind, b.layer, b.intervals)


def test_why_there_is_none_is_said(folder, tmp_path):
    assert "no recipe was looked for" in spectra_of(None).missing
    assert spectra_of(estimates_of(folder, "child", [])).missing == "no parent was offered"
    for name in ("base", "one", "child"):
        write_checkpoint(tmp_path / name, {"a.weight": np.arange(40, dtype=np.int32).reshape(5, 8)})
    found = spectra_of(estimates_of(tmp_path, "child", ["one"]))
    assert found.curves == ()
    assert found.missing == "no slice holds floating-point numbers"


def test_a_parent_that_is_the_base_has_none(folder, tmp_path):
    for name in ("base", "child"):
        shutil.copytree(folder / name, tmp_path / name)
    shutil.copytree(folder / "base", tmp_path / "one")
    found = spectra_of(estimates_of(tmp_path, "child", ["one"]))
    assert found.missing == "no parent differs from the base where the sample was taken"


@given(
    st.lists(
        st.tuples(st.floats(-3, 4), st.floats(0, 1), st.integers(0, 2)), min_size=1, max_size=40
    )
)
def test_coverage_counts_what_touches_each_bin(intervals):
    low, size, labels = (np.array(each) for each in zip(*intervals, strict=True))
    found = _coverage(low, low + size, labels, 3, 1)
    step = 3.0 / (BINS - 1)
    edges = -1.0 - step / 2 + step * np.arange(BINS + 1)
    expected = np.zeros((3, BINS), dtype=np.uint64)
    for first, last, label in zip(low, low + size, labels, strict=True):
        begin, end = (np.floor((x - edges[0]) / step) for x in (first, last))
        expected[label] += (np.arange(BINS) >= begin) & (np.arange(BINS) <= end)
    assert np.array_equal(found, expected)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_decoys_take_each_element_of_a_slice_once(counts):
    owner = np.repeat(np.arange(len(counts)), counts)
    shifted, is_shifted = _shifted(owner)
    assert sorted(shifted.tolist()) == list(range(len(owner)))
    assert np.array_equal(owner[shifted], owner)
    assert np.array_equal(is_shifted, shifted != np.arange(len(owner)))


@pytest.mark.parametrize("size", [1e300, 1.7e308, 5e-324])
def test_numbers_at_the_ends_of_their_range_are_no_error(tmp_path, size):
    random = np.random.default_rng(1)
    for name in ("base", "one", "child"):
        write_checkpoint(tmp_path / name, {"a.weight": random.choice([-size, 0.0, size], (32, 32))})
    found = spectra_of(estimates_of(tmp_path, "child", ["one"]))
    for each in found.curves:
        assert each.admitted.max() <= each.intervals
