"""Children that share a part with a checkpoint, hold codes, or lack what a checkpoint has."""

import json

import numpy as np
import pytest
from common.containers import gguf_bytes
from conftest import BF16, write_checkpoint
from parentage.align import pair
from parentage.checkpoint import open_all
from parentage.pipeline import trace as traced
from parentage.pipeline.rest import compare_rest
from parentage.stream import Options

EMBED = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
SHAPES = {
    EMBED: (64, 32),
    **{f"model.layers.{i}.mlp.up_proj.weight": (64, 64) for i in range(6)},
    **{f"model.layers.{i}.input_layernorm.weight": (32,) for i in range(6)},
}


def tensors(seed, scale=0.003):
    """Return tensors of a family: a base, and a displacement of its own for each seed."""
    base, own = np.random.default_rng(0), np.random.default_rng(seed)
    return {
        name: (base.normal(0, 0.03, shape) + scale * own.normal(0, 1, shape)).astype(BF16)
        for name, shape in SHAPES.items()
    }


BASE, PARENT, OTHER = tensors(1, 0.0), tensors(2), tensors(3)


def judged(folder, child, parents=(("parent", PARENT),), base=BASE, controls=(), **options):
    paths = {name: write_checkpoint(folder / name, dict(each)) for name, each in parents}
    offered = {name: write_checkpoint(folder / name, dict(each)) for name, each in controls}
    return traced(
        write_checkpoint(folder / "child", child) if isinstance(child, dict) else child,
        base=write_checkpoint(folder / "base", dict(base)),
        parents=list(paths.values()),
        controls=list(offered.values()),
        **options,
    )


def verdict(folder, child, **more):
    return judged(folder, child, **more).verdict


def test_a_copy_is_identical(tmp_path):
    found = judged(tmp_path, PARENT)
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")
    coverage = json.loads(found.to_json())["coverage"]
    assert (coverage["share"], coverage["of"]) == (1.0, {"base": 1.0, "parent": 1.0})


def test_norms_alone_are_no_copy(tmp_path):
    found = verdict(tmp_path, {k: x for k, x in PARENT.items() if "norm" in k})
    assert found.kind == "undetermined"
    assert "7 of the 13 tensors of" in found.text and "are missing there" in found.text


def test_empty_tensors_are_no_copy(tmp_path):
    empty = {k: x if x.ndim == 1 else np.zeros(0, BF16) for k, x in PARENT.items()}
    found = verdict(tmp_path, empty)
    assert found.kind == "undetermined"
    assert "7 of the 13 tensors of" in found.text and "are empty there" in found.text


@pytest.mark.parametrize("layers", [(4, 5), (0,)])
def test_missing_layers_are_named(tmp_path, layers):
    lost = [f".{layer}." for layer in layers]
    child = {k: x for k, x in PARENT.items() if not any(each in k for each in lost)}
    found = verdict(tmp_path, child)
    assert (found.kind, found.level) == ("assembled", "exact")
    assert ("layers 4 to 5" if len(layers) > 1 else "layer 0") in found.text


def test_what_the_child_has_of_its_own_is_named(tmp_path):
    found = verdict(tmp_path, {**PARENT, "model.extra.weight": np.ones((64, 32), BF16)})
    assert (found.kind, found.level) == ("assembled", "exact")
    assert "contains parent whole, bit for bit" in found.text
    assert "model.extra.weight" in found.text


def test_more_of_its_own_than_of_the_parent_decides_nothing(tmp_path):
    found = verdict(tmp_path, {**PARENT, "model.extra.weight": np.ones((2000, 32), BF16)})
    assert found.kind == "undetermined"
    assert "contains parent whole, bit for bit" in found.text


def test_layers_that_were_exchanged_are_no_copy(tmp_path):
    swapped = {k.replace(".1.", ".x.").replace(".2.", ".1."): x for k, x in PARENT.items()}
    swapped = {k.replace(".x.", ".2."): x for k, x in swapped.items()}
    assert set(swapped) == set(PARENT)
    found = verdict(tmp_path, swapped)
    assert (found.kind, found.level) == ("assembled", "exact")
    assert "0, 2, 1, 3 to 5, in this order" in found.text


def test_a_layer_that_was_repeated_is_no_copy(tmp_path):
    again = {k.replace(".5.", ".6."): x for k, x in PARENT.items() if ".5." in k}
    found = verdict(tmp_path, {**PARENT, **again})
    assert (found.kind, found.level) == ("assembled", "exact")


def test_an_embedding_that_was_cut_is_compared_as_far_as_it_goes(tmp_path):
    child = {**PARENT, EMBED: PARENT[EMBED][:60]}
    found = verdict(tmp_path, child)
    assert (found.kind, found.level) == ("assembled", "exact")
    assert "4 rows of model.embed_tokens.weight" in found.text


def test_an_embedding_that_was_extended_is_compared_as_far_as_it_goes(tmp_path):
    child = {**PARENT, EMBED: np.concatenate([PARENT[EMBED], PARENT[EMBED][:4]])}
    found = judged(tmp_path, child)
    assert (found.verdict.kind, found.verdict.level) == ("assembled", "exact")
    assert "model.embed_tokens.weight[64:68]: bit for bit as in parent" in found.verdict.text


def test_rows_that_one_parent_has_are_compared_with_it(tmp_path):
    longer = {**PARENT, EMBED: np.concatenate([PARENT[EMBED], OTHER[EMBED][:4]])}
    found = judged(tmp_path, longer, parents=[("parent", longer), ("other", OTHER)])
    assert found.verdict.kind == "identical"
    assert found.elements == found.elements_total
    rows = found.slices.filter(found.slices["slice"] == f"{EMBED}[64:68]")
    assert rows.select("checkpoint", "role", "bit_equal").rows() == [("parent", "parent", 128)]
    assert found.wide("slices").height == found.tables.number_of_slices == 14


@pytest.mark.parametrize("whose", ["child", "parent"])
def test_a_tied_embedding_stands_in_for_a_head(tmp_path, whose):
    with_head = {**PARENT, HEAD: PARENT[EMBED]}
    child, parent = (with_head, PARENT) if whose == "child" else (PARENT, with_head)
    found = verdict(tmp_path, child, parents=[("parent", parent)])
    assert (found.kind, found.level) == ("re-encoded", "exact")
    assert HEAD in found.text


def test_a_head_that_is_missing_and_is_no_embedding_is_said(tmp_path):
    found = verdict(tmp_path, PARENT, parents=[("parent", {**PARENT, HEAD: OTHER[EMBED]})])
    assert found.kind == "assembled"
    assert "1 of the 14 tensors of parent, 7.1% of its elements, is missing there" in found.text


def test_a_small_file_takes_nothing_away(tmp_path):
    small = {EMBED: OTHER[EMBED]}
    child = {**PARENT, EMBED: OTHER[EMBED]}
    found = judged(tmp_path, child, parents=[("parent", PARENT), ("small", small)])
    assert (found.verdict.kind, found.verdict.level) == ("assembled", "exact")
    assert "1 from small" in found.verdict.text
    assert found.elements == found.elements_total


def test_a_base_that_holds_nothing_takes_nothing_away(tmp_path):
    rng = np.random.default_rng(1)
    renamed = {
        f"t{i}": rng.normal(0, 0.03, x.shape).astype(x.dtype) for i, x in enumerate(BASE.values())
    }
    found = judged(tmp_path, PARENT, base=renamed)
    assert (found.verdict.kind, found.verdict.numbers["parent"]) == ("identical", "parent")
    assert "base, given as the base, pairs with nothing" in found.verdict.text
    document = json.loads(found.to_json())
    assert document["inputs"]["base"]["name"] == "base"
    assert document["coverage"]["origin"] == "parent"


CODES = {"q": np.arange(64, dtype=np.int8), "q_scale": np.full(1, 0.5, np.float32)}
FLAGS = {"flags": np.array([True, False])}


def test_codes_and_flags_are_compared_byte_for_byte(tmp_path):
    whole = {**PARENT, **CODES, **FLAGS}
    found = judged(tmp_path, whole, parents=[("parent", whole)])
    assert found.verdict.kind == "identical"
    assert found.elements == found.elements_total


@pytest.mark.parametrize("name", ["q", "flags"])
def test_one_code_that_differs_is_seen(tmp_path, name):
    whole = {**PARENT, **CODES, **FLAGS}
    other = {**whole, name: whole[name].copy()}
    other[name][0] = not other[name][0]
    found = verdict(tmp_path, whole, parents=[("parent", other)])
    assert found.kind not in ("identical", "re-encoded", "assembled")


def test_nan_of_equal_bits_is_equal(tmp_path):
    spoiled = {**PARENT, EMBED: PARENT[EMBED].copy()}
    spoiled[EMBED][3, :5] = np.nan
    assert verdict(tmp_path, spoiled, parents=[("parent", spoiled)]).kind == "identical"


def test_layers_that_the_config_promises_are_said_first(tmp_path):
    child = write_checkpoint(tmp_path / "child", PARENT)
    (child / "config.json").write_text(json.dumps({"text_config": {"num_hidden_layers": 8}}))
    found = verdict(tmp_path, child)
    assert found.text.startswith("config.json promises 8 layers; 6 are here")


def test_a_file_that_loaders_prefer_is_no_copy_of_what_was_read(tmp_path):
    child = write_checkpoint(tmp_path / "child", PARENT, shards=2)
    write_checkpoint(child, OTHER, index=False)
    found = verdict(tmp_path, child)
    assert found.kind == "undetermined"
    assert "transformers would load model.safetensors" in found.text


def test_files_that_were_not_read_are_said(tmp_path):
    child = write_checkpoint(tmp_path / "child", PARENT, shards=2)
    (child / "consolidated.safetensors").write_bytes(b"")
    found = verdict(tmp_path, child)
    assert found.kind == "identical"
    assert "not read: consolidated.safetensors" in found.text


def test_digests_are_of_the_files_whatever_the_base_holds(tmp_path):
    renamed = {k.replace("model.", "text."): x for k, x in BASE.items()}
    found = judged(tmp_path, PARENT, base=renamed, digest="sha256")
    assert set(found.digests) == {"base", "parent", "child"}
    assert found.digests["child"] == found.digests["parent"] != found.digests["base"]


def test_of_a_sample_the_first_elements_of_the_rest_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("parentage.pipeline.rest.MOST_OF_A_SAMPLE", 100)
    long = np.arange(109, dtype=np.float32)
    child = {**PARENT, "model.extra.weight": long, "q": long.astype(np.int8), "q_scale": long[:1]}
    changed = {**child, "model.extra.weight": long.copy(), "q": long.astype(np.int8)}
    changed["model.extra.weight"][-1] = changed["q"][-1] = 0
    names = {"base": BASE, "parent": changed}
    paths = [write_checkpoint(tmp_path / name, each) for name, each in names.items()]
    inputs = open_all(write_checkpoint(tmp_path / "child", child), paths[0], paths[1:], [])
    grouped, options = pair(inputs, Options(1)), Options(1)
    for is_sample in (True, False):
        rest = compare_rest(inputs, grouped, options, is_sample=is_sample)
        read = 100 if is_sample else len(long)
        assert rest.parts[0].statistics.slices.n.tolist() == [read, 1]
        assert [same for _, same in rest.bytes] == [is_sample]


def test_a_merge_with_a_part_of_its_own_is_told_as_that(tmp_path):
    blend = {
        k: (0.6 * PARENT[k].astype(np.float32) + 0.4 * BASE[k].astype(np.float32)).astype(BF16)
        for k in BASE
    }
    found = verdict(tmp_path, {**blend, "model.extra.weight": OTHER[EMBED]})
    assert found.kind == "merge"
    assert "model.extra.weight" in found.text


IQ2_XXS, TQ2_0 = 16, 35
"""Types of GGUF files whose blocks both have 66 bytes for 256 elements."""

BLOCKS = np.random.default_rng(4).bytes(66 * 64)


def with_codes(path, kind, codes=BLOCKS):
    """Write a GGUF file of numbers, and of codes that nothing here decodes."""
    plain = np.random.default_rng(5).normal(0, 0.03, (64, 32)).astype(np.float32)
    codes = kind, (64, 256), codes
    path.write_bytes(gguf_bytes({"token_embd.weight": plain, "blk.0.ffn_up.weight": codes}))
    return path


@pytest.mark.parametrize("kind", [IQ2_XXS, TQ2_0])
def test_codes_of_one_encoding_are_the_same_if_their_bytes_are(tmp_path, kind):
    base, child = (with_codes(tmp_path / f"{name}.gguf", kind) for name in ("base", "child"))
    found = traced(child, base=base)
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")


def test_codes_of_two_encodings_are_not_the_same_though_their_bytes_are(tmp_path):
    base = with_codes(tmp_path / "base.gguf", TQ2_0)
    found = traced(with_codes(tmp_path / "child.gguf", IQ2_XXS), base=base)
    assert found.verdict.kind != "identical"
    assert "ffn_up of layer 0: bit for bit" not in found.verdict.text
    assert {(x["checkpoint"], x["tensor"]) for x in found.unaligned.to_dicts()} == {
        (name, "blk.0.ffn_up.weight") for name in ("base", "child")
    }


@pytest.mark.parametrize("is_turned", [False, True])
def test_codes_are_not_the_same_as_bytes_that_stand_for_themselves(tmp_path, is_turned):
    coded = with_codes(tmp_path / "coded.gguf", IQ2_XXS, BLOCKS[::-1])
    plain = np.random.default_rng(5).normal(0, 0.03, (64, 32)).astype(np.float32)
    held = {"token_embd.weight": plain, "blk.0.ffn_up.weight": np.frombuffer(BLOCKS, np.uint8)}
    sides = coded, write_checkpoint(tmp_path / "plain", held)
    child, base = sides[::-1] if is_turned else sides
    found = traced(child, base=base)
    assert found.verdict.kind == "undetermined"
