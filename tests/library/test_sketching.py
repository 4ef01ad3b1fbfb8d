"""Sketches are written whole, hold the bits that are there, and say what they are of."""

import hashlib
import json

import ml_dtypes
import numpy as np
import parentage
import pytest
from common.adapters import adapter, base, write
from common.networks import family_on_a_hub, quick
from conftest import family_path, load, write_checkpoint
from parentage.library import ENDING, sketch_of
from parentage.library.sketching import bytes_of, config_of, small_files
from parentage.support import CheckpointError, WriteError


def sketched(tmp_path, name, **options):
    return parentage.sketch(family_path(name), tmp_path / f"{name}{ENDING}", **options)


def test_a_sketch_holds_the_bits_of_its_rows(tmp_path, weights):
    said = sketch_of(parentage.Checkpoint.open(sketched(tmp_path, "child", size="64KiB")))
    held = load(tmp_path)
    assert held.keys() == said.places.keys()
    assert 0 < said.held < said.elements == 294_488
    for name, place in said.places.items():
        stored = weights["child"][name].reshape(-1)
        rows = stored[: stored.size // place.width * place.width].reshape(-1, place.width)
        expected = stored if place.is_whole else rows[list(place.rows)]
        assert held[name].tobytes() == expected.tobytes()


def test_it_says_what_it_is_of(tmp_path, weights):
    path = sketched(tmp_path, "parent")
    said = sketch_of(parentage.Checkpoint.open(path))
    assert (said.name, said.read) == ("parent", "all")
    assert {each.name: each.shape for each in said.tensors} == {
        name: values.shape for name, values in weights["parent"].items()
    }
    (file,) = (each for each in said.files if each["name"] == "model.safetensors")
    raw = (family_path("parent") / "model.safetensors").read_bytes()
    assert file["sha256"] == hashlib.sha256(raw).hexdigest()
    energies = dict(zip((x.name for x in said.measured), said.energies, strict=True))
    for name, values in weights["parent"].items():
        expected = float((values.astype(np.float64) ** 2).sum())
        assert energies[name] == pytest.approx(expected, rel=1e-12)


def test_what_was_not_read_is_not_said(tmp_path):
    said = sketch_of(parentage.Checkpoint.open(sketched(tmp_path, "parent", runs_only=True)))
    assert said.read == "runs"
    assert said.energies is None
    assert not said.invariants
    assert not any(each["name"].endswith(".safetensors") for each in said.files)


def test_the_same_checkpoint_gives_the_same_file(tmp_path):
    one = sketched(tmp_path, "base", threads=1).read_bytes()
    other = parentage.sketch(family_path("base"), tmp_path / "other", threads=3).read_bytes()
    assert one == other


def test_codes_are_held_as_the_numbers_that_they_stand_for(tmp_path):
    codes = np.linspace(-4, 4, 64 * 32).reshape(64, 32).astype(ml_dtypes.float8_e4m3fn)
    folder = write_checkpoint(
        tmp_path / "coded",
        {"a.weight": codes, "a.weight_scale": np.array(0.5, np.float32)},
    )
    path = parentage.sketch(folder, tmp_path / f"coded{ENDING}")
    opened = parentage.Checkpoint.open(path)
    said = sketch_of(opened)
    assert "a.weight" in said.encodings
    expected = codes.astype(np.float32) * np.float32(0.5)
    held = np.frombuffer(path.read_bytes()[-expected.nbytes :], "<f4")
    assert held.tobytes() == expected.tobytes()


def test_what_can_not_be_sketched_is_an_error_that_says_why(tmp_path):
    path = sketched(tmp_path, "base")
    with pytest.raises(CheckpointError, match="a sketch already"):
        parentage.sketch(path, tmp_path / "again")
    folder = write_checkpoint(tmp_path / "whole", {"a": np.arange(5)})
    with pytest.raises(CheckpointError, match="no numbers"):
        parentage.sketch(folder, tmp_path / "whole.sketch")
    write(tmp_path / "lora", adapter(base(), 2), r=8, lora_alpha=16)
    with pytest.raises(CheckpointError, match="adapter"):
        parentage.sketch(tmp_path / "lora", tmp_path / "lora.sketch")
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="file"):
        parentage.sketch(family_path("base"), tmp_path / "file" / "x")
    assert not list(tmp_path.glob(".writing*"))


@pytest.mark.parametrize("size", [0, 100, "1kB"])
def test_a_size_that_holds_nothing_is_refused(size):
    with pytest.raises(ValueError, match="bytes"):
        bytes_of(size)


def test_of_a_config_what_is_large_or_no_architecture_is_left_out(tmp_path):
    said = {"model_type": "x", "hidden_size": 8, "text_config": {"num_hidden_layers": 3}}
    more = {"secret": "y", "architectures": ["a" * 999]}
    (tmp_path / "config.json").write_text(json.dumps({**said, **more}))
    assert config_of(tmp_path) == {"model_type": "x", "hidden_size": 8, "num_hidden_layers": 3}
    (tmp_path / "config.json").write_text("[" * 100_000)
    assert config_of(tmp_path) == {}
    assert [each["name"] for each in small_files(tmp_path)] == ["config.json"]


def test_of_a_remote_one_no_more_is_read_than_is_held(monkeypatch, tmp_path):
    with family_on_a_hub(monkeypatch, tmp_path) as double:
        made = parentage.sketch("hf://org/base", tmp_path / f"x{ENDING}", network=quick())
        assert sketch_of(parentage.Checkpoint.open(made)).read == "runs"
        whole = parentage.sketch(
            "hf://org/base", tmp_path / f"y{ENDING}", full=True, network=quick()
        )
        assert sketch_of(parentage.Checkpoint.open(whole)).energies is not None
        assert double.counts.total > 0
    with pytest.raises(ValueError, match="runs_only"):
        parentage.sketch(family_path("base"), full=True, runs_only=True)
