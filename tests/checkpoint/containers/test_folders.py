"""Folders: shards with an index or without, files beside each other, parts, and pipelines."""

import json

import numpy as np
import parentage
import pytest
from common.containers import (
    field,
    gguf_bytes,
    holds,
    onnx_bytes,
    onnx_external,
    onnx_model,
    onnx_tensor,
    refused,
    torch_pickle,
    weights,
    write_torch,
)
from conftest import encode_safetensors, write_checkpoint
from parentage.checkpoint import Checkpoint, Unread
from parentage.checkpoint.containers.folders import contents_at

TENSORS = weights()
PARTS = [dict(list(TENSORS.items())[:2]), dict(list(TENSORS.items())[2:])]
SHARDS = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "m").mkdir()
    return tmp_path / "m"


def indexed(folder, weight_map=None):
    for name, part in zip(SHARDS, PARTS, strict=True):
        write_torch(folder / name, part)
    if weight_map is None:
        weight_map = {
            name: shard for shard, part in zip(SHARDS, PARTS, strict=True) for name in part
        }
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


def test_shards_with_an_index_are_one_checkpoint(folder):
    index = indexed(folder)
    write_torch(folder / "other.bin", TENSORS)
    (folder / "training_args.bin").write_bytes(b"x")
    holds(folder, TENSORS)
    holds(index, TENSORS)
    found = Checkpoint.open(folder)
    assert found.name == Checkpoint.open(index).name == "m"
    assert found.unread == Unread(("other.bin",))
    assert [shard.name for shard in found.shards] == SHARDS


def test_shards_without_an_index_are_one_checkpoint(folder):
    indexed(folder).unlink()
    holds(folder, TENSORS)
    assert not Checkpoint.open(folder).unread


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lm_head.weight": "none.bin"}, '"none.bin", which does not exist'),
        ({"lm_head.weight": "../m/" + SHARDS[1]}, "no plain path"),
        ({"lm_head.weight": SHARDS[0]}, "but it is in"),
        ({"x": SHARDS[0]}, "does not hold it"),
        ({"lm_head.weight": None}, "names no file"),
    ],
)
def test_an_index_that_says_what_is_not_so_is_refused(folder, change, why):
    weight_map = json.loads(indexed(folder).read_text())["weight_map"] | change
    indexed(folder, weight_map)
    refused(folder, "index.json", 'tensor "', why)


def test_a_tensor_that_the_index_lacks_or_names_twice_is_refused(folder):
    weight_map = json.loads(indexed(folder).read_text())["weight_map"]
    index = indexed(folder, dict(list(weight_map.items())[:-1]))
    refused(folder, 'tensor "lm_head.weight"', "does not list it")
    index.write_text('{"weight_map": {"a": "x.bin", "a": "y.bin"}}')
    refused(folder, 'tensor "a"', "twice")


def test_safetensors_are_read_where_both_are_there(folder):
    write_checkpoint(folder, TENSORS)
    write_torch(folder / "pytorch_model.bin", weights(1))
    holds(folder, TENSORS)
    assert Checkpoint.open(folder).unread == Unread(("pytorch_model.bin",))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("pytorch_model.bin", lambda path: write_torch(path, TENSORS)),
        ("epoch=3.ckpt", lambda path: write_torch(path, {"state_dict": TENSORS})),
        ("model.Q4_K_M.gguf", lambda path: path.write_bytes(gguf_bytes(TENSORS))),
        ("model.onnx", lambda path: path.write_bytes(onnx_bytes(TENSORS))),
        ("weights.npz", lambda path: np.savez(path, **TENSORS)),
    ],
)
def test_a_file_alone_in_its_folder_is_the_checkpoint(folder, name, write):
    write(folder / name)
    (folder / "config.json").write_text("{}")
    (folder / "optimizer.pt").write_bytes(b"\x80\x02N.")
    holds(folder, TENSORS)
    assert Checkpoint.open(folder).name == "m"


def test_a_file_that_loaders_ask_for_comes_before_others(folder):
    (folder / "model.onnx").write_bytes(onnx_bytes(TENSORS))
    (folder / "model_quantized.onnx").write_bytes(onnx_bytes(weights(1)))
    holds(folder, TENSORS)
    assert Checkpoint.open(folder).unread == Unread(("model_quantized.onnx",))


def test_several_files_are_refused_with_their_names(folder):
    (folder / "a.Q4.gguf").write_bytes(gguf_bytes(TENSORS))
    (folder / "b.Q8.gguf").write_bytes(gguf_bytes(TENSORS))
    refused(folder, "several checkpoints", '"a.Q4.gguf" and "b.Q8.gguf"', "name one")


def test_files_that_are_none_do_not_count(folder):
    (folder / "a.bin").write_bytes(b"no tensors")
    (folder / "vocab.bin").write_bytes(b"words")
    refused(folder, "no .safetensors file", '"a.bin"')
    (folder / "b.gguf").write_bytes(gguf_bytes(TENSORS))
    holds(folder, TENSORS)


def test_a_file_of_another_format_is_told_by_what_it_is(folder):
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    refused(folder, "pytorch_model.bin: ", "pickle", "never loaded")


def test_a_model_whose_numbers_lie_beside_it_is_read_whole(folder):
    (folder / "weights.bin").write_bytes(b"".join(x.tobytes() for x in TENSORS.values()))
    at, tensors = 0, b""
    for name, x in TENSORS.items():
        beside = onnx_external("weights.bin", at, x.nbytes)
        tensors += field(5, onnx_tensor(name, x, beside, raw=False))
        at += x.nbytes
    (folder / "model.onnx").write_bytes(onnx_model(tensors))
    holds(folder, TENSORS)
    assert not Checkpoint.open(folder).unread


def parts(folder, count=2, total=None):
    metadata = {} if total is None else {"split.tensors.count": total}
    for i, part in enumerate(PARTS, 1):
        path = folder / f"m-{i:05}-of-{count:05}.gguf"
        path.write_bytes(gguf_bytes(part, metadata))
    return folder


@pytest.mark.parametrize("name", ["", "m-00001-of-00002.gguf", "m-00002-of-00002.gguf"])
def test_parts_of_a_gguf_model_are_one_checkpoint(folder, name):
    parts(folder, total=5)
    holds(folder / name, TENSORS)
    assert Checkpoint.open(folder / name).name == "m"


def test_a_part_that_is_missing_is_refused(folder):
    parts(folder, count=3)
    refused(folder, "one of 3 parts", '"m-00003-of-00003.gguf"')


def test_parts_that_promise_another_number_of_tensors_are_refused(folder):
    refused(parts(folder, total=7), "hold 5 tensors, and it says 7")


def test_variants_are_passed_over_and_told(folder):
    half = {name: x.astype(np.float16) for name, x in TENSORS.items()}
    (folder / "model.safetensors").write_bytes(encode_safetensors(TENSORS))
    (folder / "model.fp16.safetensors").write_bytes(encode_safetensors(half))
    (folder / "model.fp8-00001-of-00001.safetensors").write_bytes(encode_safetensors(half))
    holds(folder, TENSORS)
    assert Checkpoint.open(folder).remarks == (
        "Of m, files without a variant are read, and what is stored as fp16 and fp8 is not.",
    )
    (folder / "model.safetensors").unlink()
    refused(folder, "variants of one model", "name one of them")


def test_a_variant_alone_is_the_model(folder):
    (folder / "model.fp16.safetensors").write_bytes(encode_safetensors(TENSORS))
    holds(folder, TENSORS)
    assert Checkpoint.open(folder).remarks == ()


def pipeline(folder, **more):
    components = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "safety_checker": [None, None],
    }
    (folder / "model_index.json").write_text(json.dumps(components | more))
    (folder / "unet").mkdir()
    name = "diffusion_pytorch_model"
    write_checkpoint(folder / "unet", PARTS[0], shards=2, index=False)
    for path in sorted((folder / "unet").iterdir()):
        path.rename(path.with_name(path.name.replace("model", name)))
    shards = sorted(path.name for path in (folder / "unet").iterdir())
    document = {"weight_map": dict(zip(PARTS[0], shards, strict=True))}
    (folder / "unet" / f"{name}.safetensors.index.json").write_text(json.dumps(document))
    (folder / "vae").mkdir()
    (folder / "vae" / f"{name}.safetensors").write_bytes(encode_safetensors(PARTS[1]))
    (folder / "vae" / f"{name}.fp16.safetensors").write_bytes(encode_safetensors(PARTS[1]))
    (folder / "text_encoder").mkdir()
    write_torch(folder / "text_encoder" / "pytorch_model.bin", PARTS[1])
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    return folder


def expected():
    named = {f"unet.{name}": x for name, x in PARTS[0].items()}
    named |= {f"vae.{name}": x for name, x in PARTS[1].items()}
    return named | {f"text_encoder.{name}": x for name, x in PARTS[1].items()}


def test_a_pipeline_is_one_checkpoint_of_its_folders(folder):
    holds(pipeline(folder), expected())
    (folder / "v1-5.safetensors").write_bytes(encode_safetensors(TENSORS))
    holds(folder, expected())
    found = Checkpoint.open(folder)
    assert found.unread == Unread(("v1-5.safetensors",))
    assert [shard.name for shard in found.shards] == [
        "text_encoder/pytorch_model.bin",
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    assert found.remarks == (
        "Of m, files without a variant are read, and what is stored as fp16 is not.",
    )


def test_a_pipeline_and_its_copy_are_identical(tmp_path):
    for name in ("child", "base"):
        (tmp_path / name).mkdir()
        pipeline(tmp_path / name)
    assert parentage.trace(tmp_path / "child", base=tmp_path / "base").verdict.kind == "identical"


def test_a_model_that_a_pipeline_names_and_lacks_is_told(folder):
    pipeline(folder, transformer=["diffusers", "T"], **{"../x": ["a", "b"]})
    holds(folder, expected())
    assert Checkpoint.open(folder).remarks[-1] == (
        'Of m, model_index.json names "../x" and "transformer", which are not there.'
    )


def test_a_shard_that_a_model_of_a_pipeline_lacks_is_refused(folder):
    pipeline(folder)
    (folder / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    refused(folder, "unet", "does not exist")


def test_a_folder_of_a_pipeline_outside_of_it_is_refused(tmp_path, folder):
    pipeline(folder)
    (folder / "vae").rename(tmp_path / "vae")
    (folder / "vae").symlink_to("../vae")
    refused(folder, "link out of the folder")


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, '{"unet": ["a", "b"]}'])
def test_an_index_of_no_pipeline_is_none(folder, text):
    (folder / "model_index.json").write_text(text)
    write_checkpoint(folder, TENSORS)
    holds(folder, TENSORS)
    assert contents_at(folder) is None


def test_a_storage_that_another_archive_has_is_not_looked_for_there(folder):
    from common.containers import write_zip

    raw, storages = torch_pickle(PARTS[0])
    write_zip(folder / SHARDS[0], {"a/data.pkl": raw})
    entries = {"a/data.pkl": raw} | {f"a/data/{key}": each for key, each in storages.items()}
    write_zip(folder / SHARDS[1], entries)
    refused(folder, SHARDS[0], "is not in the archive")
