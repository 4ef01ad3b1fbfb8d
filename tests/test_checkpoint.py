import json
import os
import tempfile
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import parentage
import pytest
from conftest import BF16, encode_safetensors, write_checkpoint
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint import (
    COMPONENTS,
    Checkpoint,
    component_of,
    distinct_names,
    layer_of,
    place_of,
    places_of,
)
from parentage.checkpoint.structure import _COMPONENT_PATTERNS
from parentage.support import CheckpointError, ReadError, natural_key, printable

QWEN = "model.language_model"

# What stands in the checkpoints of Qwen3.5, DeepSeek-V3, gpt-oss, Mixtral, Llama, GPT-2, BERT, ...
MEANINGS = [
    (f"{QWEN}.embed_tokens.weight", "embed", None, None),
    ("lm_head.weight", "head", None, None),
    (f"{QWEN}.norm.weight", "norm", None, None),
    (f"{QWEN}.layers.3.input_layernorm.weight", "norm", 3, None),
    (f"{QWEN}.layers.3.post_attention_layernorm.weight", "norm", 3, None),
    (f"{QWEN}.layers.3.self_attn.q_proj.weight", "attention", 3, None),
    (f"{QWEN}.layers.3.self_attn.k_norm.weight", "norm", 3, None),
    (f"{QWEN}.layers.0.linear_attn.in_proj_qkv.weight", "linear_attention", 0, None),
    (f"{QWEN}.layers.0.linear_attn.conv1d.weight", "linear_attention", 0, None),
    (f"{QWEN}.layers.0.linear_attn.A_log", "linear_attention", 0, None),
    (f"{QWEN}.layers.0.linear_attn.dt_bias", "linear_attention", 0, None),
    (f"{QWEN}.layers.0.linear_attn.norm.weight", "norm", 0, None),
    (f"{QWEN}.layers.59.mlp.gate.weight", "router", 59, None),
    (f"{QWEN}.layers.59.mlp.experts.gate_up_proj", "experts", 59, None),
    (f"{QWEN}.layers.59.mlp.experts.down_proj", "experts", 59, None),
    (f"{QWEN}.layers.43.mlp.experts.511.down_proj.weight_scale_inv", "experts", 43, 511),
    (f"{QWEN}.layers.59.mlp.shared_expert.gate_proj.weight", "shared_expert", 59, None),
    (f"{QWEN}.layers.59.mlp.shared_expert_gate.weight", "shared_expert", 59, None),
    ("model.visual.patch_embed.proj.weight", "vision", None, None),
    ("model.visual.pos_embed.weight", "vision", None, None),
    ("model.visual.merger.linear_fc1.bias", "vision", None, None),
    ("vision_tower.vision_model.post_layernorm.weight", "vision", None, None),
    ("mtp.fc.weight", "mtp", None, None),
    ("mtp.pre_fc_norm_hidden.weight", "mtp", None, None),
    ("model.layers.5.self_attn.q_a_layernorm.weight", "norm", 5, None),
    ("model.layers.5.self_attn.kv_a_proj_with_mqa.weight", "attention", 5, None),
    ("model.layers.5.mlp.gate.e_score_correction_bias", "router", 5, None),
    ("model.layers.5.mlp.shared_experts.up_proj.weight", "shared_expert", 5, None),
    ("model.layers.5.mlp.experts.17.gate_proj.weight", "experts", 5, 17),
    ("model.layers.61.enorm.weight", "norm", 61, None),
    ("model.layers.61.eh_proj.weight", "other", 61, None),
    ("layers.3.ffn.experts.7.w1.weight", "experts", 3, 7),
    ("layers.3.ffn.gate.weight", "router", 3, None),
    ("layers.3.attn.wq_a.weight", "attention", 3, None),
    ("layers.3.ffn_norm.weight", "norm", 3, None),
    ("model.layers.1.mlp.experts.gate_up_proj_blocks", "experts", 1, None),
    ("model.layers.1.mlp.router.weight", "router", 1, None),
    ("model.layers.1.self_attn.sinks", "attention", 1, None),
    ("model.layers.2.block_sparse_moe.experts.6.w1.weight_packed", "experts", 2, 6),
    ("model.layers.2.block_sparse_moe.gate.weight", "router", 2, None),
    ("model.layers.2.mlp.switch_mlp.gate_proj.weight", "experts", 2, None),
    ("language_model.model.layers.11.mlp.up_proj.weight", "mlp", 11, None),
    ("vlm.model.layers.11.self_attn.o_proj.weight", "attention", 11, None),
    ("transformer.h.9.ln_1.weight", "norm", 9, None),
    ("transformer.h.9.attn.c_attn.weight", "attention", 9, None),
    ("transformer.h.9.mlp.c_fc.weight", "mlp", 9, None),
    ("transformer.wte.weight", "embed", None, None),
    ("transformer.ln_f.bias", "norm", None, None),
    ("bert.encoder.layer.4.attention.self.query.weight", "attention", 4, None),
    ("bert.encoder.layer.4.attention.output.LayerNorm.weight", "norm", 4, None),
    ("bert.encoder.layer.4.intermediate.dense.weight", "mlp", 4, None),
    ("bert.embeddings.word_embeddings.weight", "embed", None, None),
    ("encoder.block.3.layer.0.SelfAttention.q.weight", "attention", 3, None),
    ("gpt_neox.layers.0.mlp.dense_h_to_4h.weight", "mlp", 0, None),
    ("backbone.layers.30.mixer.in_proj.weight", "linear_attention", 30, None),
    ("layers.0.feed_forward.w2.weight", "mlp", 0, None),
    ("layers.0.attention.wq.weight", "attention", 0, None),
    ("tok_embeddings.weight", "embed", None, None),
    ("output.weight", "head", None, None),
    ("score.weight", "head", None, None),
    ("multi_modal_projector.linear_1.weight", "other", None, None),
    ("", "other", None, None),
]


@pytest.mark.parametrize(("name", "component", "layer", "expert"), MEANINGS)
def test_names_say_component_layer_and_expert(name, component, layer, expert):
    assert (component_of(name), layer_of(name), place_of(name).expert) == (component, layer, expert)


@given(st.text())
def test_every_name_has_a_component(name):
    assert component_of(name) in COMPONENTS


def test_names_sort_by_their_numbers():
    names = ["layers.10.b", "layers.2.b", "layers.2.a", "layers.02.c", "layers", "10", "9", "a1"]
    expected = ["9", "10", "a1", "layers", "layers.2.a", "layers.2.b", "layers.02.c", "layers.10.b"]
    assert sorted(names, key=natural_key) == expected


@given(st.lists(st.text(alphabet="ab.019²٣", max_size=12)))
def test_any_names_can_be_sorted(names):
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


def test_a_number_of_any_length_is_no_obstacle():
    digits = "9" * 5000
    name = f"model.layers.{digits}.mlp.experts.{digits}.w1.weight"
    assert natural_key(name) > natural_key(name.replace(digits, "8" * 5000))
    assert layer_of(name) is None
    assert place_of(name).expert is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("model.layers.0.weight", "model.layers.0.weight"),
        ("Größe 层", "Größe 层"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\rb\nc\td\x00", r"a\rb\nc\td\x00"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("\u2066a\u2069\u200f\u2028", r"\u2066a\u2069\u200f\u2028"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_escaped(text, shown):
    assert printable(text) == shown


@given(st.text())
def test_printable_text_moves_no_cursor(text):
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in printable(text))


ONE = {"a": np.zeros(4, BF16)}


def test_a_checkpoint_is_called_by_its_folder_or_file(tmp_path):
    folder = write_checkpoint(tmp_path / "Rio-3.5", ONE, index=True)
    assert Checkpoint.open(folder).name == "Rio-3.5"
    assert Checkpoint.open(f"{folder}/").name == "Rio-3.5"
    assert Checkpoint.open(folder / "model.safetensors").name == "Rio-3.5"
    assert Checkpoint.open(folder / "model.safetensors.index.json").name == "Rio-3.5"
    other = (folder / "model.safetensors").rename(tmp_path / "nex.safetensors")
    assert Checkpoint.open(other).name == "nex"
    assert Checkpoint.open(other, name="N2").name == "N2"


def test_the_folder_that_one_stands_in_has_its_own_name(tmp_path, monkeypatch):
    monkeypatch.chdir(write_checkpoint(tmp_path / "here", ONE))
    assert Checkpoint.open(".").name == "here"
    assert Checkpoint.open("model.safetensors").name == "here"


@pytest.fixture
def cache(tmp_path):
    """A Hugging Face cache entry: snapshots of links to blobs."""
    entry = tmp_path / "models--nex-agi--Nex-N2"
    blobs = entry / "blobs"
    snapshot = entry / "snapshots" / "1a2b3c"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    made = write_checkpoint(tmp_path / "made", ONE, index=True)
    for number, path in enumerate(sorted(made.iterdir())):
        path.rename(blobs / f"{number:064}")
        (snapshot / path.name).symlink_to(f"../../blobs/{number:064}")
    return snapshot


@pytest.mark.parametrize("file", ["", "model.safetensors", "model.safetensors.index.json"])
def test_a_hugging_face_cache_entry_is_opened_and_called_by_its_repository(cache, file):
    checkpoint = Checkpoint.open(cache / file)
    assert checkpoint.name == "nex-agi/Nex-N2"
    assert list(checkpoint.tensors) == ["a"]


def test_names_of_equal_checkpoints_are_made_distinct(tmp_path):
    same = [Checkpoint.open(write_checkpoint(tmp_path / f"{i}/m", ONE)) for i in range(3)]
    assert distinct_names(same) == ["m", "m#2", "m#3"]


TENSORS = {
    "z": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.ones((1, 1, 4), BF16),
    "scalar": np.array(1.5, np.float16),
    "empty": np.zeros((0, 3), np.int8),
    "flags": np.zeros(3, bool),
}


def test_a_file_its_folder_its_index_and_its_shards_hold_the_same_tensors(tmp_path):
    whole = write_checkpoint(tmp_path / "whole", TENSORS)
    indexed = write_checkpoint(tmp_path / "indexed", TENSORS, shards=3)
    loose = write_checkpoint(tmp_path / "loose", TENSORS, shards=3, index=False)
    paths = [
        whole,
        whole / "model.safetensors",
        indexed,
        indexed / "model.safetensors.index.json",
        loose,
    ]
    for path in paths:
        checkpoint = Checkpoint.open(path)
        assert list(checkpoint.tensors) == sorted(TENSORS)
        assert checkpoint.elements == 6 + 4 + 1 + 0 + 3
        for name, array in TENSORS.items():
            tensor = checkpoint.tensors[name]
            shard = checkpoint.shards[tensor.shard]
            stored = shard.path.read_bytes()[tensor.begin : tensor.end]
            assert tensor.shape == array.shape
            assert tensor.elements == array.size
            assert stored == array.tobytes()
            assert tensor.begin >= shard.data_start
        assert checkpoint.bytes == sum(shard.path.stat().st_size for shard in checkpoint.shards)
    assert [each.dtype for each in checkpoint.tensors.values()] == [
        *("BF16", "I8", "BOOL", "F16", "F32")
    ]


def test_tensors_are_a_mapping_sorted_by_name(tmp_path):
    tensors = Checkpoint.open(write_checkpoint(tmp_path / "m", TENSORS, shards=2)).tensors
    assert len(tensors) == len(TENSORS)
    listed = list(tensors.values())
    assert listed == [tensors[name] for name in tensors]
    assert listed == [tensors.at(index) for index in range(len(tensors))]
    assert dict(tensors.items()).keys() == tensors.keys() == TENSORS.keys()
    assert [each.index for each in listed] == list(range(len(tensors)))
    assert "absent" not in tensors
    assert 3 not in tensors
    with pytest.raises(KeyError, match="absent"):
        tensors["absent"]
    with pytest.raises(IndexError, match="there is no tensor number 5"):
        tensors.at(5)


_PARTS = st.sampled_from(["layers", "experts", "attn", "norm", "x", "", "\u0663"])
_NUMBERS = st.from_regex("[0-9]{1,11}", fullmatch=True)


@given(st.lists(st.lists(_PARTS | _NUMBERS, max_size=6).map(".".join), max_size=8, unique=True))
def test_names_stand_where_they_do_one_by_one(names):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.safetensors")
        path.write_bytes(encode_safetensors({name: np.zeros(1, BF16) for name in names}))
        assert places_of(Checkpoint.open(path).core) == [place_of(name) for name in sorted(names)]


def test_a_name_of_many_numbers_costs_no_more_than_its_length(tmp_path):
    long = "layers.7" + ".1" * 200_000 + ".weight"
    tensors = {f"layers.{number}.attn.weight": np.zeros(1, BF16) for number in range(3000)}
    path = tmp_path / "m.safetensors"
    path.write_bytes(encode_safetensors(tensors | {long: np.zeros(1, BF16)}))
    tracemalloc.start()
    try:
        places = places_of(Checkpoint.open(path).core)
        # A table with a column for each number would be 4.8 GB.
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert sorted(place.layer for place in places) == sorted([*range(3000), 7])


def test_mates_have_name_shape_and_class_in_common(tmp_path):
    few = np.zeros(2, BF16)
    mine = {"a": few, "b": few, "c": np.zeros(2, np.int8), "d": np.zeros(0, BF16)}
    mine |= {"e": np.zeros(2, bool), "g": np.zeros((2, 1), BF16)}
    theirs = {"A": few, "a": np.zeros(2, np.float32), "c": few, "d": np.zeros(0, BF16)}
    theirs |= {"e": np.zeros(2, bool), "f": few, "g": np.zeros((1, 2), BF16), "h": few}
    one = Checkpoint.open(write_checkpoint(tmp_path / "one", mine)).core
    other = Checkpoint.open(write_checkpoint(tmp_path / "other", theirs)).core
    assert one.mates(other).tolist() == [1, -1, -1, -1, -1, -1]
    assert one.mates(one).tolist() == [0, 1, 2, -1, -1, 5]


def test_a_file_beside_an_index_is_no_part_of_the_checkpoint(tmp_path):
    folder = write_checkpoint(tmp_path / "m", TENSORS, shards=2)
    (folder / "extra.safetensors").write_bytes(encode_safetensors({"extra": np.zeros(1, BF16)}))
    assert list(Checkpoint.open(folder).tensors) == sorted(TENSORS)


def test_metadata_is_kept(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(encode_safetensors(ONE, {"format": "pt"}))
    assert Checkpoint.open(path).shards[0].metadata == {"format": "pt"}


def test_the_same_files_are_recognised_however_they_are_named(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    copy = write_checkpoint(tmp_path / "copy", ONE)
    (tmp_path / "link").symlink_to(folder)
    first = Checkpoint.open(folder)
    assert first.same_files(Checkpoint.open(tmp_path / "link"))
    assert first.same_files(Checkpoint.open(folder / "model.safetensors"))
    assert not first.same_files(Checkpoint.open(copy))


def test_it_can_be_asked_whether_a_file_has_changed(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    checkpoint = Checkpoint.open(folder)
    checkpoint.core.verify_unchanged()
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"!")
    with pytest.raises(ReadError, match=r"model\.safetensors: the file had \d+ bytes"):
        checkpoint.core.verify_unchanged()


def golden_headers():
    path = Path(__file__).parent / "golden" / "headers.json"
    return [pytest.param(case, id=case["name"]) for case in json.loads(path.read_text("utf-8"))]


@pytest.mark.parametrize("case", golden_headers())
def test_a_header_is_read_as_the_golden_file_says(case, tmp_path):
    if "hex" in case:
        raw = bytes.fromhex(case["hex"])
    else:
        header = case["header"].encode()
        raw = len(header).to_bytes(8, "little") + header
    path = tmp_path / "case.safetensors"
    path.write_bytes(raw + bytes(case["data_len"]))
    if case["error"] is None:
        Checkpoint.open(path)
        return
    with pytest.raises(CheckpointError) as raised:
        Checkpoint.open(path)
    message = str(raised.value)
    assert case["error"] in message
    assert str(path) in message
    if "tensor" in case:
        assert f'tensor "{case["tensor"]}": ' in message
    if "offset" in case:
        assert f"at byte {case['offset']}: " in message
    assert message.isprintable()


def refused(path, *parts, error=CheckpointError):
    with pytest.raises(error) as raised:
        parentage.Checkpoint.open(path)
    message = str(raised.value)
    for part in parts:
        assert part in message
    assert message.isprintable()


def index_of(**weight_map):
    return {"weight_map": weight_map}


def test_an_index_that_names_a_missing_shard_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "m", TENSORS, shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(folder, 'shard "model-00002-of-00002.safetensors" does not exist', "complete")


@pytest.mark.parametrize(
    ("shard", "why"),
    [
        ("../outside.safetensors", "not a plain path"),
        ("a/../../outside.safetensors", "not a plain path"),
        ("/outside.safetensors", "not relative"),
        ("C:outside.safetensors", "not relative"),
        ("..\\outside.safetensors", "backslash"),
        ("", "is empty"),
        ("a\x1b[2J.safetensors", "control character"),
    ],
)
def test_a_shard_outside_the_folder_is_refused(tmp_path, shard, why):
    write_checkpoint(tmp_path / "m", ONE, index=index_of(a=shard))
    (tmp_path / "outside.safetensors").write_bytes(encode_safetensors(ONE))
    refused(tmp_path / "m", "index.json", 'tensor "a"', why)


def test_a_shard_at_an_absolute_path_is_refused_even_in_the_folder(tmp_path):
    path = tmp_path / "m" / "model.safetensors"
    write_checkpoint(tmp_path / "m", ONE, index=index_of(a=str(path)))
    refused(tmp_path / "m", "not relative")


def test_a_tensor_that_is_in_no_shard_is_refused(tmp_path):
    index = index_of(a="model.safetensors", b="model.safetensors")
    folder = write_checkpoint(tmp_path / "m", ONE, index=index)
    refused(folder, 'tensor "b"', "does not hold it")


def test_a_tensor_that_the_index_lacks_is_refused(tmp_path):
    tensors = {"a": np.zeros(2, BF16), "b": np.zeros(2, BF16)}
    folder = write_checkpoint(tmp_path / "m", tensors, index=index_of(a="model.safetensors"))
    refused(folder, 'tensor "b"', "does not list it")


def test_a_tensor_in_another_shard_than_the_index_says_is_refused(tmp_path):
    tensors = {"a": np.zeros(2, BF16), "b": np.zeros(2, BF16)}
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = index_of(a=names[1], b=names[0])
    folder = write_checkpoint(tmp_path / "m", tensors, shards=2, index=index)
    refused(folder, 'tensor "a"', names[0], names[1])


def test_a_tensor_in_two_files_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    (folder / "other.safetensors").write_bytes(encode_safetensors(ONE))
    refused(folder, 'tensor "a"', "model.safetensors", "other.safetensors")


def test_an_index_that_is_none_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE, index={"metadata": {}})
    refused(folder, "weight_map is missing")
    (folder / "model.safetensors.index.json").write_text("{")
    refused(folder, "index.json", "JSON")


def test_several_indexes_are_refused_with_their_names(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    for name in ("a", "b"):
        index = json.dumps(index_of(a="model.safetensors"))
        (folder / f"{name}.safetensors.index.json").write_text(index)
    refused(folder, "several indexes", '"a.safetensors.index.json"', '"b.safetensors.index.json"')
    assert list(Checkpoint.open(folder / "a.safetensors.index.json").tensors) == ["a"]


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    (folder / "model.safetensors").rename(folder / "kept")
    (folder / "model.safetensors").symlink_to("other.safetensors")
    (folder / "other.safetensors").symlink_to("model.safetensors")
    refused(folder, "model.safetensors", "symbolic link", error=parentage.ParentageError)
    (tmp_path / "loop").symlink_to("loop")
    refused(tmp_path / "loop", "loop", "symbolic link", error=parentage.ParentageError)


def test_a_link_to_nothing_is_refused(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.safetensors").symlink_to("nowhere")
    refused(tmp_path / "m", "symbolic link to a file that does not exist")
    (tmp_path / "lost").symlink_to("nowhere")
    refused(tmp_path / "lost", "symbolic link", "nowhere")


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    outside = write_checkpoint(tmp_path / "outside", ONE)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.safetensors").symlink_to(outside / "model.safetensors")
    refused(tmp_path / "m", "symbolic link out of the folder", str(outside))


def test_a_link_within_the_folder_is_followed(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    (folder / "model.safetensors").rename(folder / "data")
    (folder / "model.safetensors").symlink_to("data")
    assert list(Checkpoint.open(folder).tensors) == ["a"]


@pytest.mark.usefixtures("permissions_hold")
def test_a_file_without_permission_is_an_error_of_the_system(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    (folder / "model.safetensors").chmod(0)
    refused(folder, "model.safetensors: open: Permission denied", error=ReadError)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    refused(tmp_path, "no .safetensors file")
    (tmp_path / "config.json").write_text("{}")
    refused(tmp_path, "no .safetensors file")


def test_a_folder_above_a_checkpoint_says_where_it_is(tmp_path):
    folder = write_checkpoint(tmp_path / "org" / "m", ONE)
    refused(tmp_path, "no .safetensors file", f'"{folder}" does')


def test_a_folder_of_pickles_says_what_to_do(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    refused(tmp_path, "pytorch_model.bin", "never loaded", "weights_only=True", "save_file")
    refused(tmp_path / "pytorch_model.bin", "pickle", "never loaded", "weights_only=True")


def test_a_path_that_is_not_there_is_refused(tmp_path):
    refused(tmp_path / "nothing", "no such file or folder")


@pytest.mark.parametrize("keep", [0, 7, 8, 30, -1])
def test_a_file_cut_short_is_refused(tmp_path, keep):
    folder = write_checkpoint(tmp_path / "m", TENSORS)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refused(folder, str(path))


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    messages = []

    def open_both():
        for path in (tmp_path, tmp_path / "model.safetensors"):
            try:
                Checkpoint.open(path)
            except CheckpointError as error:
                messages.append(str(error))

    thread = threading.Thread(target=open_both, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "opening a pipe waits for a writer"
    assert len(messages) == 2
    assert all("pipe" in message for message in messages)


@given(st.lists(st.sampled_from([*"0179wfc.", "mlp", "fc1", "w2", ".h.", ".experts."]), max_size=9))
def test_components_of_names_do_not_hang_on_numbers_between_points(parts):
    """Components are kept by name without such numbers: the patterns must not look at them."""
    name = "".join(parts)
    for component, pattern in _COMPONENT_PATTERNS:
        if pattern.search(name):
            assert component_of(name) == component
            break
    else:
        assert component_of(name) == "other"
