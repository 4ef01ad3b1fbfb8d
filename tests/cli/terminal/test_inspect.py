"""What is shown of headers."""

import numpy as np
from common.terminals import shown
from conftest import BF16, family_path, opened
from parentage.checkpoint import Checkpoint
from parentage.cli.terminal.inspect import show_inspect


def test_groups_are_counted_by_dtype_and_component(capsys):
    text = shown(capsys, show_inspect, Checkpoint.open(family_path("base")))
    for expected in ("base 1 file", "23 tensors", "294,488 elements", "2 layers", "BF16", "mlp"):
        assert expected in text
    assert "model.safetensors" not in text


def test_files_are_told_where_there_are_several(capsys, tmp_path):
    tensors = {"a": np.ones((2, 3), BF16), "b": np.ones(4, np.float32)}
    checkpoint = opened(tmp_path, "m", tensors, shards=2)
    text = shown(capsys, show_inspect, checkpoint)
    assert "2 files" in text
    assert all(shard.name in text for shard in checkpoint.shards)


def test_every_tensor_is_told_where_it_is_asked_for(capsys, tmp_path):
    evil = "[red]a[/red]\x1b[2J.weight"
    checkpoint = opened(tmp_path, "m", {evil: np.ones((7, 3), BF16), "b": np.ones(5, np.int8)})
    text = shown(capsys, show_inspect, checkpoint, tensors=True)
    assert "[red]a[/red]" in text
    for tensor in checkpoint.tensors.values():
        assert f"{tensor.begin:,} {tensor.end:,}" in text
        assert str(list(tensor.shape)) in text
