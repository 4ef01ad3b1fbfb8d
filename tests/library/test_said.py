"""What a sketch says of itself is hostile input: all that is wrong is an error that names it."""

import base64
import json
import zlib

import numpy as np
import parentage
import pytest
from conftest import encode_safetensors, family_path
from hypothesis import given
from hypothesis import strategies as st
from parentage.library.places import Outline
from parentage.library.said import (
    KEY,
    VERSION,
    _outlines,
    _unpacked,
    is_held,
    measured_of,
    packed_floats,
    packed_outlines,
    sketch_of,
)
from parentage.support import CheckpointError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("sketch") / "base.sketch.safetensors"
    return parentage.sketch(family_path("base"), path, size="64KiB")


def rewritten(written, tmp_path, change):
    """Return the sketch with what it says of itself changed."""
    raw = written.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    said = json.loads(header["__metadata__"][KEY])
    header["__metadata__"][KEY] = json.dumps(change(said) or said)
    text = json.dumps(header).encode()
    path = tmp_path / "crafted.sketch.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[start:])
    return parentage.Checkpoint.open(path)


def test_a_checkpoint_is_no_sketch():
    assert sketch_of(parentage.Checkpoint.open(family_path("base"))) is None


def test_a_newer_version_is_said_to_be_newer(written, tmp_path):
    opened = rewritten(written, tmp_path, lambda said: said.update(version=VERSION + 1))
    with pytest.raises(CheckpointError, match=r"newer version 2.*reads version 1"):
        sketch_of(opened)


def bomb(said):
    said["tensors"] = base64.b64encode(zlib.compress(b" " * (1 << 27))).decode()


def larger(said):
    name = next(iter(said["places"]))
    said["places"][name][1] = [[0, 10**9]]


@pytest.mark.parametrize(
    "change",
    [
        bomb,
        larger,
        lambda said: said.update(version="<script>"),
        lambda said: said.pop("tensors"),
        lambda said: said.update(tensors="!"),
        lambda said: said.update(tensors=said["tensors"][:-8]),
        lambda said: said.update(places={"nobody": [4, [[0, 1]]]}),
        lambda said: said.update(places={name: [1, []] for name in said["places"]}),
        lambda said: said.update(places={name: [-1, [[0, 1]]] for name in said["places"]}),
        lambda said: said.update(places=3),
        lambda said: said.update(energies=packed_floats(np.zeros(3))),
        lambda said: said.update(name=3),
        lambda said: said.update(read="nothing"),
        lambda said: said.update(keys=["a"], thumbs="AAA="),
        lambda said: said.update(invariants={"a": ["x"]}),
        lambda _: [1, 2],
    ],
)
def test_what_is_malformed_is_an_error_that_names_the_file(written, tmp_path, change):
    opened = rewritten(written, tmp_path, change)
    with pytest.raises(CheckpointError, match=r"crafted\.sketch"):
        sketch_of(opened)


def test_what_is_no_json_or_far_too_deep_is_an_error(tmp_path):
    for text in ("{", "[" * 200_000, "null"):
        path = tmp_path / "x.safetensors"
        path.write_bytes(encode_safetensors({"a": np.zeros(2, np.float32)}, {KEY: text}))
        with pytest.raises(CheckpointError, match="malformed"):
            sketch_of(parentage.Checkpoint.open(path))


def test_a_sketch_that_is_cut_short_is_an_error(written, tmp_path):
    path = tmp_path / "cut.sketch.safetensors"
    path.write_bytes(written.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut"):
        parentage.Checkpoint.open(path)


def test_markup_in_names_stays_text(tmp_path):
    name = "<img src=x onerror=alert(1)>.weight"
    data = {name: np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)}
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(encode_safetensors(data))
    path = parentage.sketch(folder, tmp_path / "m.sketch.safetensors")
    assert list(sketch_of(parentage.Checkpoint.open(path)).places) == [name]


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=12), unique=True, max_size=20),
    st.lists(st.integers(0, 5), max_size=3).map(tuple),
)
def test_names_by_template_are_the_names(names, shape):
    outlines = tuple(Outline(name.replace("\x00", ""), "BF16", shape) for name in names)
    outlines = tuple(dict.fromkeys(outlines))
    assert set(_outlines(_unpacked(packed_outlines(outlines)))) == set(outlines)


def test_numbers_without_a_fraction_are_not_held():
    assert is_held("F8_E4M3")
    assert not is_held("F8_E8M0")
    assert not is_held("I8")
    tensors = (Outline("b", "F32", (2,)), Outline("a", "F32", (0,)), Outline("a2", "I8", (2,)))
    assert [each.name for each in measured_of(tensors)] == ["b"]
