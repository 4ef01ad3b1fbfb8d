"""Checkpoints in memory give what the files of the same tensors give, and are what they are."""

import gc
import hashlib
import json
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import parentage
import pytest
from conftest import BF16, DTYPES, family_path
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.checkpoint import Checkpoint
from parentage.checkpoint.sources import memory
from parentage.support import CheckpointError, EvidenceError, PlanError, ReadError
from parentage.verify import verify
from safetensors.numpy import load_file, save, save_file

RNG = np.random.default_rng


@pytest.fixture(scope="module")
def tensors():
    """The shipped family, by role, as arrays."""
    names = ("base", "parent", "sibling", "child")
    return {name: load_file(family_path(name) / "model.safetensors") for name in names}


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tensors):
    """The same as files, each written by the library of the format."""
    folder = tmp_path_factory.mktemp("saved")
    for name, each in tensors.items():
        save_file(each, folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in tensors}


def traced(given, output=None, **options):
    child, base, parent, sibling = (given[x] for x in ("child", "base", "parent", "sibling"))
    return parentage.trace(
        child, base=base, parents=[parent], controls=[sibling], seed=1, output=output, **options
    )


def named(tensors):
    return {name: Checkpoint.in_memory(each, name) for name, each in tensors.items()}


def test_a_mapping_is_served_and_nothing_else():
    assert memory.serves({})
    assert not any(map(memory.serves, ("a", b"a", None, ["a"], family_path("base"))))


def test_a_trace_of_memory_has_the_bytes_of_one_of_files(tmp_path, tensors, saved):
    live = traced(named(tensors), tmp_path / "live", digest="sha256")
    stored = traced(saved, tmp_path / "stored", digest="sha256")
    for name in ("slices.parquet", "sums.parquet", "spectrum.parquet", "facts.json", "recipe.yaml"):
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "stored" / name).read_bytes()
    mine, theirs = (json.loads(each.to_json()) for each in (live, stored))
    for of in (mine, theirs):
        for role in ("child", "base"):
            of["inputs"][role] = {
                key: value for key, value in of["inputs"][role].items() if key in ("files", "name")
            }
            for file in of["inputs"][role]["files"]:
                file.pop("name")
        del of["inputs"]["parents"], of["inputs"]["controls"]
    assert mine == theirs
    assert live.evidence["inputs"]["child"]["source"] == "in memory"


def test_paths_and_mappings_stand_beside_each_other(tensors, saved):
    mixed = traced({**saved, "child": tensors["child"], "parent": tensors["parent"]})
    assert mixed.slices.drop("checkpoint").equals(traced(saved).slices.drop("checkpoint"))
    assert (mixed.inputs.child.name, mixed.inputs.parents[0].name) == ("in memory", "in memory#2")


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 3, "tile_bytes": 4096},
                                     {"io": "direct"}, {"io": "pread"}])  # fmt: skip
def test_no_way_of_reading_changes_a_bit(tensors, saved, options):
    assert traced(named(tensors), **options).slices.equals(traced(saved).slices)


def test_a_sample_of_memory_is_one_of_files(tensors, saved):
    live, stored = (traced(each, sample="30%") for each in (named(tensors), saved))
    assert live.slices.equals(stored.slices)
    assert live.sample.as_dict() == stored.sample.as_dict()


NUMBERS = [each for each in DTYPES if each != "F8_E8M0"]


@st.composite
def views(draw):
    """Return tensors of any dtype, bits and strides, by name."""
    tensors = {}
    for name in draw(
        st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=4, unique=True)
    ):
        if not name.isprintable() or name == "__metadata__":
            name = name.encode("unicode_escape").decode() + "."
        dtype = np.dtype(DTYPES[draw(st.sampled_from(NUMBERS))])
        shape = draw(st.lists(st.integers(0, 5), max_size=3))
        size = int(np.prod([2 * n for n in shape])) * dtype.itemsize
        raw = RNG(draw(st.integers(0, 99))).integers(0, 256, size, np.uint8)
        array = raw.view(dtype).reshape([2 * n for n in shape])
        steps = draw(st.lists(st.sampled_from([1, 2, -1, -2]), min_size=3, max_size=3))
        array = array[(..., *(slice(None, None, step) for step in steps[: array.ndim]))]
        tensors[name] = array.transpose(draw(st.permutations(range(array.ndim))))
    return tensors


@given(views())
@settings(max_examples=60)
def test_the_bytes_of_any_views_are_those_that_the_library_writes(tensors):
    opened = Checkpoint.open(tensors)
    written = save({name: each.copy() for name, each in tensors.items()})
    found = opened.core.copied(0, 0, opened.bytes)
    assert found == written
    cut = len(written) // 3
    assert opened.core.copied(0, cut, 2 * cut) == written[cut : 2 * cut]


@given(st.integers(0, 99), st.sampled_from(["F32", "BF16", "F16", "F64"]), st.booleans())
@settings(max_examples=20)
def test_sums_over_strided_memory_are_those_over_files(tmp_path_factory, seed, dtype, flips):
    rng = RNG(seed)
    shape = (int(rng.integers(1, 70)), int(rng.integers(1, 300)))
    odd = [np.nan, np.inf, -np.inf, -0.0, 1e-40]
    found = {}
    for name in ("base", "child"):
        values = rng.normal(size=shape)
        values[rng.integers(shape[0]), rng.integers(shape[1])] = odd[seed % len(odd)]
        array = values.astype(DTYPES[dtype])
        found[name] = {"a.weight": np.asfortranarray(array) if flips else array[::-1, ::-1]}
    folder = tmp_path_factory.mktemp("x")
    paths = {}
    for name, each in found.items():
        paths[name] = folder / f"{name}.safetensors"
        save_file({key: np.ascontiguousarray(x) for key, x in each.items()}, paths[name])
    live = parentage.gram(found["child"], base=found["base"])
    stored = parentage.gram(paths["child"], base=paths["base"])
    assert live.blocks.tobytes() == stored.blocks.tobytes()
    assert live.equal.tobytes() == stored.equal.tobytes()
    assert live.nan.tobytes() == stored.nan.tobytes()


def test_the_digest_is_that_of_the_file_that_the_library_writes(tensors):
    found = traced(named(tensors), digest="sha256")
    for name, each in tensors.items():
        assert found.digests[name] == (hashlib.sha256(save(each)).hexdigest(),)
    assert {each.root for each in found.folders.values()} == {None}


def test_dtypes_are_laid_out_as_the_library_does():
    rng = RNG(0)
    tensors = {
        f"{letter}.{name}": rng.integers(0, 100, 3).astype(dtype)
        for letter in "ba"
        for name, dtype in {**DTYPES, "BOOL": bool, "C64": np.complex64}.items()
    }
    opened = Checkpoint.open(tensors)
    assert opened.core.copied(0, 0, opened.bytes) == save(tensors)


def test_tied_empty_and_many_tensors_are_tensors():
    tied = np.ones((4, 4), np.float32)
    odd = {"a": tied, "b": tied, "c": np.zeros((0, 7), BF16), "d": np.array(2.0)}
    opened = Checkpoint.open(odd)
    assert [each.elements for each in opened.tensors.values()] == [16, 16, 0, 1]
    block = np.arange(40_000, dtype=np.float32)
    many = {f"layers.{n}.w": block[4 * n : 4 * n + 4] for n in range(10_000)}
    other = {name: each + np.float32(1.0) for name, each in many.items()}
    found = parentage.gram(many, base=other)
    assert (len(found.slices), found.total[1, 1]) == (10_000, 40_000.0)
    with pytest.raises(PlanError, match=r"in memory: given as the child and as the base"):
        parentage.gram(many, base=dict(many))


def test_views_of_one_memory_that_differ_are_two_checkpoints():
    block = np.arange(64, dtype=np.float32)
    one, other = ({"a": block[at : at + 32].reshape(4, 8)} for at in (0, 1))
    assert not Checkpoint.open(one).same_files(Checkpoint.open(other))
    assert Checkpoint.open(one).same_files(Checkpoint.open(one))
    assert parentage.gram(one, base=other).total[1, 1] == 32.0


def test_what_is_beside_files_can_be_given():
    tensors = {"model.layers.0.a.weight": np.ones((2, 2), np.float32)}
    bare = Checkpoint.in_memory(tensors)
    assert (bare.name, bare.where, bare.promised_layers) == ("in memory", "in memory", None)
    assert (bare.is_in_memory, bare.is_remote, bool(bare.unread)) == (True, False, False)
    told = Checkpoint.in_memory(tensors, "step 5", config={"num_hidden_layers": 3})
    assert (told.name, told.where, told.promised_layers) == ("step 5", "step 5 (in memory)", 3)
    assert Checkpoint.open(tensors, "x").name == "x"
    with pytest.raises(CheckpointError, match="the configuration is no JSON"):
        Checkpoint.in_memory(tensors, config={"a": object()})


def test_nothing_of_the_current_folder_is_taken_for_it(tmp_path, monkeypatch):
    folder = tmp_path / "in memory"
    folder.mkdir()
    (folder / "config.json").write_text('{"num_hidden_layers": 7}')
    (folder / "other.safetensors").write_bytes(b"x")
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 7}')
    monkeypatch.chdir(tmp_path)
    child = {"model.layers.0.mlp.up_proj.weight": np.ones((8, 8), np.float32)}
    base = {name: each * np.float32(2.0) for name, each in child.items()}
    opened = Checkpoint.open(child)
    assert (opened.promised_layers, bool(opened.unread)) == (None, False)
    found = parentage.trace(opened, base=base, digest="sha256")
    assert found.folders["in memory"].files == ()
    assert found.metadata.child.headers.writing["format"] == "in memory"
    captured = parentage.capture(child, tmp_path / "captured")
    assert not (captured / "files").exists()


def test_what_is_no_checkpoint_is_said_to_be_none():
    class Module:
        def state_dict(self):
            return {}

    for given_ in (5, None, 1.5, object()):
        with pytest.raises(CheckpointError, match="a checkpoint is a path, a name, or a mapping"):
            Checkpoint.open(given_)
    with pytest.raises(CheckpointError, match=r"no Module; of a module, give \.state_dict\(\)"):
        Checkpoint.open(Module())
    with pytest.raises(CheckpointError, match="no int"):
        parentage.trace(family_path("child"), base=family_path("base"), parents=3)
    with pytest.raises(CheckpointError, match="no list"):
        Checkpoint.in_memory([("a", np.ones(2))])


def test_a_trace_lets_go_of_memory_and_a_checkpoint_does_not(tensors):
    copied = {name: each.copy() for name, each in tensors["child"].items()}
    watched = [weakref.ref(each) for each in copied.values()]
    found = traced({**named(tensors), "child": copied})
    others = (
        parentage.compare(copied, tensors["base"]),
        parentage.compare_metadata(copied, base=tensors["base"]),
        found.recipe.replay({"parent": tensors["parent"], "base": tensors["base"]}, copied),
        parentage.gram(copied, base=tensors["base"]),
    )
    del copied
    gc.collect()
    assert not any(each() is not None for each in watched)
    assert len(others) == 4
    again = pickle.loads(pickle.dumps(found))
    assert again.evidence == found.evidence
    with pytest.raises(ReadError, match=r"in memory: .*not there any more, or are another"):
        parentage.gram(found.inputs.child, base=tensors["base"])
    kept = Checkpoint.open({"a": np.ones(3, np.float32)})
    gc.collect()
    found = kept.tensors["a"]
    assert kept.core.copied(0, found.begin, found.end) == np.ones(3, np.float32).tobytes()
    sent = pickle.loads(pickle.dumps(kept))
    assert (list(sent.tensors), sent.is_in_memory) == (["a"], True)
    with pytest.raises(ReadError, match="another process"):
        sent.core.copied(0, found.begin, found.end)


def test_nothing_is_gone_on_with(tmp_path, tensors):
    with pytest.raises(ValueError, match="whether tensors in memory are the same is not known"):
        traced(named(tensors), tmp_path, resume=True)


def test_a_tensor_that_is_written_to_meanwhile_gives_some_numbers_and_no_crash():
    rng = RNG(0)
    child = {"a.weight": rng.normal(size=(512, 512)).astype(np.float32)}
    base = {"a.weight": rng.normal(size=(512, 512)).astype(np.float32)}
    made = parentage.plan(child, base=base)
    done = []

    def write():
        while not done:
            child["a.weight"] += np.float32(1.0)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(50):
                assert made.gram().total.shape == (2, 2)
        finally:
            done.append(True)
        writing.result()


def test_bundles_of_memory_are_verified_with_memory_or_what_was_saved_of_it(
    tmp_path, tensors, saved
):
    traced(named(tensors), tmp_path / "e", digest="sha256")
    assert verify(tmp_path / "e").standing == "consistent"
    for places in (tensors, named(tensors), saved):
        found = verify(tmp_path / "e", places, digest=True)
        assert found.standing == "reproduced", found
    without = {name: each for name, each in saved.items() if name != "child"}
    with pytest.raises(EvidenceError, match=r"'child' was in memory, and can not be opened again"):
        verify(tmp_path / "e", without)
    log = [json.loads(line) for line in (tmp_path / "e/custody.jsonl").read_text().splitlines()]
    assert log[0]["inputs"][0]["path"] == "child (in memory)"
    # With other words in its header, only what it holds is compared.
    other = tmp_path / "child.safetensors"
    save_file(tensors["child"], other, {"format": "pt"})
    found = verify(tmp_path / "e", {**saved, "child": other})
    assert found.standing == "reproduced"
    assert any("was in memory" in each.text for each in found.findings)


def test_other_verbs_take_memory(tmp_path, tensors, saved):
    live, stored = (
        parentage.compare(each["parent"], each["sibling"]) for each in (named(tensors), saved)
    )
    assert live.to_json() == stored.to_json()
    assert parentage.compare(tensors["parent"], tensors["sibling"]).names == (
        "in memory", "in memory#2",
    )  # fmt: skip
    for each, given_ in (
        ("live", Checkpoint.open(tensors["parent"], "p")),
        ("stored", saved["parent"]),
    ):
        parentage.sketch(given_, tmp_path / f"{each}.sketch.safetensors")
    said = parentage.trace(tmp_path / "live.sketch.safetensors", base=tensors["base"])
    assert said.slices.equals(
        parentage.trace(tmp_path / "stored.sketch.safetensors", base=tensors["base"]).slices
    )
    library = parentage.Library(tmp_path / "library")
    library.add(
        [parentage.sketch(saved[x], tmp_path / f"{x}.safetensors") for x in ("base", "parent")]
    )
    assert parentage.search(tensors["child"], library).blend
    recipe = traced(named(tensors)).recipe
    parts = {name: tensors[name] for name in ("parent", "base")}
    again = recipe.replay(parts, tensors["child"])
    assert (again.elements, again.mismatched) == (294_488, 0)
    assert again.child.elements == 294_488
    written = recipe.write(parts, tmp_path / "made", against=tensors["child"])
    assert written.agrees
    made = load_file(tmp_path / "made" / "model.safetensors")
    assert all(made[x].tobytes() == each.tobytes() for x, each in tensors["child"].items())
    told = parentage.compare_metadata(tensors["child"], base=tensors["base"])
    assert told.as_dict()["level"] == "circumstantial"
