"""Checkpoints are held against what a bundle says of them."""

import shutil

import numpy as np
import polars as pl
import pytest
from common.bundles import (
    PLACES,
    edit_document,
    edit_table,
    failures,
    put,
    resealed,
    traced,
)
from common.families import FAMILY, stored
from common.merges import merged
from conftest import BF16, load, write_checkpoint
from parentage.bundle import SLICES, SUMS, read_bundle
from parentage.checkpoint import Checkpoint
from parentage.pipeline import trace
from parentage.stream import Progress
from parentage.support import CheckpointError, EvidenceError
from parentage.verify import verify
from parentage.verify.checkpoints import Asked, check_files_of, open_inputs


def asked(places=PLACES, seed=0, slices=3, digest=False):
    return Asked(places, seed, slices, digest)


@pytest.fixture(scope="module")
def document(made):
    return read_bundle(made).document


def test_checkpoints_are_opened_in_their_roles_under_the_names_of_the_evidence(document):
    places = {**PLACES, "base": Checkpoint.open(PLACES["base"], "otherwise")}
    inputs = open_inputs(document, asked(places))
    assert [each.name for each in (inputs.child, *inputs.others)] == list(PLACES)
    assert [each.name for each in inputs.controls] == ["sibling"]
    with pytest.raises(EvidenceError, match="'base' is lacking"):
        open_inputs(document, asked({"child": PLACES["child"]}))
    with pytest.raises(CheckpointError):
        open_inputs(document, asked({**PLACES, "base": PLACES["base"] / "nowhere"}))


def test_files_are_told_by_size_and_by_digest(document, tmp_path):
    inputs = open_inputs(document, asked())
    found = list(check_files_of(document, inputs, asked(digest=True)))
    assert len(found) == 3 * len(PLACES)
    assert {each.status for each in found} == {"ok"}
    # A file may have another name, and is known by what is in it.
    other = tmp_path / "child"
    other.mkdir()
    shutil.copy(PLACES["child"] / "model.safetensors", other / "renamed.safetensors")
    places = {**PLACES, "child": other}
    found = list(check_files_of(document, open_inputs(document, asked(places)), asked(digest=True)))
    assert {each.status for each in found} == {"ok"}


def test_a_file_that_was_added_beside_the_weights_changes_the_root_digest(document, tmp_path):
    shutil.copytree(PLACES["child"], tmp_path / "child")
    (tmp_path / "child" / "config.json").write_text("{}", "utf-8")
    places = {**PLACES, "child": tmp_path / "child"}
    inputs = open_inputs(document, asked(places))
    wrong = [
        each.text
        for each in check_files_of(document, inputs, asked(digest=True))
        if each.status == "failed"
    ]
    assert len(wrong) == 1
    assert "root digest" in wrong[0]


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """A merge in three files, a tensor that only one of the others has, and evidence of it."""
    folder = tmp_path_factory.mktemp("sharded")
    extra = np.random.default_rng(3).normal(0, 1, (24, 40)).astype(BF16)
    family = {name: stored(FAMILY[name]) for name in ("base", "one", "two")}
    family["one"] = {**family["one"], "model.layers.7.extra.weight": extra}
    child = merged("linear", "float32-fma", {"one": 0.6, "base": 0.4})
    child = {**child, "model.layers.7.extra.weight": extra, "model.steps": np.arange(4)}
    for name, tensors in {**family, "child": child}.items():
        write_checkpoint(folder / name, tensors, shards=3)
    trace(
        folder / "child", base=folder / "base", parents=[folder / "one"],
        controls=[folder / "two"], digest="sha256", output=folder / "evidence",
    )  # fmt: skip
    return folder


def places_in(folder, **others):
    return {**{name: folder / name for name in ("child", "base", "one", "two")}, **others}


def test_slices_that_few_checkpoints_have_are_read_again_as_well(sharded):
    found = verify(sharded / "evidence", places_in(sharded), slices=None)
    assert not found.failed
    told = [each.text for each in found.findings if each.check == "slices"]
    assert len(told) == 2
    assert "1 of 1 slices over one" in told[1]


@pytest.mark.parametrize("slices", [1, None])
@pytest.mark.parametrize("shard", range(3))
def test_one_shard_that_was_swapped_is_found(sharded, tmp_path, shard, slices):
    shutil.copytree(sharded / "child", tmp_path / "child")
    names = sorted(each.name for each in (sharded / "child").glob("*.safetensors"))
    original = Checkpoint.open(sharded / "child")
    swapped = {
        name: np.array(values)
        for name, values in _values(tmp_path / "child" / names[shard]).items()
    }
    for values in swapped.values():
        values.reshape(-1).view(np.uint8)[0] ^= 1
    (tmp_path / "swapped").mkdir()
    write_checkpoint(tmp_path / "swapped", swapped)
    made = next((tmp_path / "swapped").glob("*.safetensors"))
    shutil.copy(made, tmp_path / "child" / names[shard])
    assert len(Checkpoint.open(tmp_path / "child").tensors) == len(original.tensors)
    places = places_in(sharded, child=tmp_path / "child")
    found = verify(sharded / "evidence", places, seed=9, slices=slices)
    assert "slices" in {each.check for each in found.failed}
    if slices is None:
        assert names[shard] in " ".join(each[2] for each in failures(found))


def _values(path):
    folder = path.parent.parent / f"alone-{path.stem}"
    folder.mkdir()
    shutil.copy(path, folder / path.name)
    return load(folder)


def test_a_table_that_says_another_layer_or_shape_than_the_headers_is_found(made, tmp_path):
    for name, change in {
        "layer": pl.col("layer").fill_null(0) + 1,
        "dtype": pl.lit("F16"),
        "component": pl.lit("mlp"),
    }.items():
        folder = tmp_path / name
        shutil.copytree(made, folder)
        edit_table(folder / SLICES, **{name: change.cast(pl.Int64) if name == "layer" else change})
        resealed(folder)
        found = verify(folder, PLACES, slices=1)
        assert ("slices", SLICES) in {each[:2] for each in failures(found)}, name


def test_checkpoints_that_pair_otherwise_are_found(made, tmp_path):
    write_checkpoint(tmp_path / "child", {"a.weight": np.ones((600, 500), BF16)})
    found = verify(made, {**PLACES, "child": tmp_path / "child"}, slices=1)
    assert ("slices", SUMS) in {each[:2] for each in failures(found)}


@pytest.mark.parametrize("options", [{"seed": 4}, {}], ids=["given", "drawn"])
def test_a_sample_is_read_again_where_it_was(tmp_path, options):
    traced(tmp_path, digest=None, sample="60%", **options)
    found = verify(tmp_path, PLACES)
    assert found.standing == "reproduced"
    assert found.slices["read"] == found.slices["of"] == 23
    other = verify(tmp_path, {**PLACES, "sibling": PLACES["base"].parent / "grandchild"})
    assert [each for each in failures(other) if "read again" in each[2]]


def test_progress_is_told_and_may_stop(made):
    class Stops(Progress):
        def update(self, done):
            raise KeyboardInterrupt(str(done))

    with pytest.raises(KeyboardInterrupt):
        verify(made, PLACES, slices=None, progress=Stops())


def test_reading_with_several_threads_and_levels_gives_the_same(made):
    for options in ({"threads": 1, "io": "pread"}, {"threads": 3, "tile_bytes": 4096}):
        assert verify(made, PLACES, slices=4, seed=1, **options).standing == "reproduced"


@pytest.mark.parametrize("change", [{"dtype": pl.lit("Q7")}, {"shape": pl.lit([1, 2, 3])}])
def test_tables_of_any_content_are_findings_and_no_crash(made, tmp_path, change):
    shutil.copytree(made, tmp_path / "evidence")
    edit_table(tmp_path / "evidence" / SLICES, **change)
    resealed(tmp_path / "evidence")
    assert verify(tmp_path / "evidence", PLACES, slices=2).is_refuted


def test_a_recipe_that_is_none_is_a_finding_and_no_crash(made, tmp_path):
    shutil.copytree(made, tmp_path / "evidence")
    for value in ("magic", "slerp"):
        edit_document(tmp_path / "evidence", lambda told, v=value: put(told, "recipe.method", v))
        resealed(tmp_path / "evidence")
        assert verify(tmp_path / "evidence", PLACES, slices=2).is_refuted
