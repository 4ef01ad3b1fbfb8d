"""What is stored as codes is compared as bytes with its like, and never read as numbers."""

import pickle
from pathlib import Path

import numpy as np
import parentage
import pytest
from common.containers import gguf_bytes, holds, weights
from parentage import Recipe
from parentage.align import views
from parentage.checkpoint import Checkpoint, Encoding
from parentage.support import PlanError, RecipeError

CODES = np.random.default_rng(0).integers(0, 256, 8 * 144, np.uint8).tobytes()
RECIPE = """
merge_method: linear
models: [{model: one, parameters: {weight: 0.5}}, {model: two, parameters: {weight: 0.5}}]
dtype: float32
"""
NAME = "blk.0.attn_q.weight"


def coded(path: Path, kind=12, shape=(8, 256), raw=CODES, **more) -> Path:
    path.write_bytes(gguf_bytes({NAME: (kind, shape, raw)} | more))
    return path


def reasons(found):
    rows = found.unaligned.select("checkpoint", "tensor", "reason").rows()
    return {tensor: reason for checkpoint, tensor, reason in rows if checkpoint == "child"}


def test_codes_are_bytes_with_the_shape_of_their_numbers(tmp_path):
    found = Checkpoint.open(coded(tmp_path / "a.gguf"))
    assert found.encodings == {NAME: Encoding("Q4_K", (8, 256))}
    assert found.tensors[NAME].dtype == "U8"
    assert found.tensors[NAME].shape == (8 * 144,)


def test_a_checkpoint_of_codes_travels_between_processes(tmp_path):
    found = Checkpoint.open(coded(tmp_path / "a.gguf"))
    again = pickle.loads(pickle.dumps(found))
    assert again.encodings == found.encodings
    assert len({found, found}) == 1


def test_codes_are_not_paired_with_whole_numbers(tmp_path):
    more = weights()
    child = coded(tmp_path / "child.gguf", **more)
    bytes_alone = {NAME: np.frombuffer(CODES, np.uint8).view(np.int8), **more}
    (tmp_path / "base.gguf").write_bytes(gguf_bytes(bytes_alone))
    found = parentage.trace(child, base=tmp_path / "base.gguf")
    assert reasons(found)[NAME].startswith("encoded as Q4_K")
    assert found.verdict.kind != "identical"
    turned = parentage.trace(tmp_path / "base.gguf", base=child)
    rows = turned.unaligned.select("checkpoint", "tensor", "reason").rows()
    assert ("base", NAME, "shape [1152] in the child, [8, 256] in child") in rows


def test_the_same_codes_are_the_same_bytes(tmp_path):
    more = weights()
    child, base = coded(tmp_path / "a.gguf", **more), coded(tmp_path / "b.gguf", **more)
    assert parentage.trace(child, base=base).verdict.kind == "identical"


def test_the_same_bytes_of_another_encoding_are_not_compared(tmp_path):
    more = weights()
    # 32 blocks of 144 bytes, or 256 of 18.
    child = coded(tmp_path / "child.gguf", 12, (8, 1024), CODES * 4, **more)
    base = coded(tmp_path / "base.gguf", 2, (8, 1024), CODES * 4, **more)
    found = parentage.trace(child, base=base)
    assert found.verdict.kind not in ("identical", "re-encoded")


def test_codes_that_differ_are_no_copy(tmp_path):
    more = {"norm": np.ones(64, np.float32)}
    other = bytes(each ^ 1 for each in CODES)
    child = coded(tmp_path / "child.gguf", **more)
    base = coded(tmp_path / "base.gguf", raw=other, **more)
    found = parentage.trace(child, base=base)
    assert found.verdict.kind == "undetermined"
    assert "attn_q of layer 0: bit for bit as in none of those that have it" in found.verdict.text


def test_a_checkpoint_that_is_codes_but_for_a_norm_has_an_identical_copy(tmp_path):
    more = {"norm": np.arange(2, dtype=np.float32)}
    paths = [coded(tmp_path / f"{name}.gguf", **more) for name in ("child", "base")]
    assert parentage.trace(paths[0], base=paths[1]).verdict.kind == "identical"


def test_a_checkpoint_of_codes_alone_says_why_nothing_pairs(tmp_path):
    child = coded(tmp_path / "a.gguf")
    base = coded(tmp_path / "b.gguf", 2, (8, 1024), CODES * 4)
    with pytest.raises(PlanError, match="encoded as Q4_K"):
        parentage.trace(child, base=base)


def test_a_view_keeps_what_is_encoded_under_its_other_name(tmp_path):
    found = Checkpoint.open(coded(tmp_path / "a.gguf"))
    renamed = found.seen_as(
        each._replace(name=f"model.{each.name}") for each in found.tensors.values()
    )
    assert renamed.encodings == {f"model.{NAME}": Encoding("Q4_K", (8, 256))}
    assert views(found, [found]).child.encodings == found.encodings


def test_a_recipe_is_not_written_over_codes(tmp_path):
    more = {"w": weights()["lm_head.weight"]}
    places = {name: coded(tmp_path / f"{name}.gguf", **more) for name in ("one", "two")}
    recipe = Recipe.from_json(RECIPE)
    with pytest.raises(RecipeError, match="encoded as Q4_K"):
        recipe.write(places, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_recipe_of_other_files_is_written_as_safetensors(tmp_path):
    tensors = {name: weights(seed) for seed, name in enumerate(("one", "two"))}
    places = {name: tmp_path / f"{name}.gguf" for name in tensors}
    for name, place in places.items():
        place.write_bytes(gguf_bytes(tensors[name]))
    Recipe.from_json(RECIPE).write(places, tmp_path / "out")
    halves = {name: (x + tensors["two"][name]) / 2 for name, x in tensors["one"].items()}
    holds(tmp_path / "out", {name: x.astype(np.float32) for name, x in halves.items()})
