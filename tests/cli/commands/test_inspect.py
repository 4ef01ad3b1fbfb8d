"""What headers say, on a terminal and as JSON."""

import json

import numpy as np
from common.adapters import adapter, base, write
from common.two_parents import invoke
from conftest import family_path, write_checkpoint


def test_inspect_shows_what_headers_say(capsys):
    status, out, _ = invoke(capsys, "inspect", family_path("base"), "--tensors")
    assert status == 0
    for expected in ("23 tensors", "294,488 elements", "2 layers", "BF16", "attention", "mlp"):
        assert expected in out
    status, out, _ = invoke(capsys, "inspect", family_path("base"), "--json")
    document = json.loads(out)
    assert len(document["tensors"]) == 23
    assert document["layers"] == [0, 1]
    assert sum(tensor["end"] - tensor["begin"] for tensor in document["tensors"]) == 588_976


def test_inspect_opens_what_has_no_arithmetic(capsys, tmp_path):
    folder = write_checkpoint(
        tmp_path / "packed", {"mask": np.ones((2, 3), bool), "f4": ("F4", [4], b"\x21\x43")}
    )
    status, out, _ = invoke(capsys, "inspect", folder)
    assert status == 0
    assert "BOOL" in out
    assert "F4" in out


def test_several_checkpoints_are_a_list_of_documents(capsys):
    paths = [family_path("base"), family_path("child")]
    status, out, err = invoke(capsys, "inspect", *paths, "--json")
    assert (status, err) == (0, "")
    assert [each["name"] for each in json.loads(out)] == ["base", "child"]
    assert invoke(capsys, "inspect", *paths)[1].count("294,488") >= 2


def test_headers_are_told_with_where_each_tensor_lies(capsys, tmp_path):
    tensors = {"model.layers.3.mlp.w": np.ones((2, 3), np.float32), "b": np.zeros(4, np.int8)}
    folder = write_checkpoint(tmp_path / "m", tensors, shards=2)
    document = json.loads(invoke(capsys, "inspect", folder, "--json")[1])
    assert document["layers"] == [3]
    assert document["elements"] == 10
    for each in document["tensors"]:
        raw = (folder / each["shard"]).read_bytes()[each["begin"] : each["end"]]
        assert raw == tensors[each["name"]].tobytes()
        assert each["shape"] == list(tensors[each["name"]].shape)
    assert len({each["shard"] for each in document["tensors"]}) == 2


def test_what_is_no_checkpoint_is_an_error_that_names_it(capsys, tmp_path):
    status, out, err = invoke(capsys, "inspect", tmp_path / "none")
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert "none" in err


def test_an_adapter_is_called_one(capsys, tmp_path):
    factors = adapter(base(), 2)
    plain = write(tmp_path / "plain", factors)
    told = write(tmp_path / "told", factors, lora_alpha=16)
    assert (
        "an adapter: LoRA, rank 8, 6 modules; nothing says its scale"
        in (invoke(capsys, "inspect", plain)[1])
    )
    assert "said to be multiplied by 2" in invoke(capsys, "inspect", told)[1]
    document = json.loads(invoke(capsys, "inspect", plain, "--json")[1])
    assert document["adapter"]["kind"] == "LoRA"
    assert {each["rank"] for each in document["adapter"]["modules"]} == {8}
    document = json.loads(invoke(capsys, "inspect", family_path("base"), "--json")[1])
    assert document["adapter"] is None
