"""Recipes carried out from the command line."""

import json

import numpy as np
import pytest
from common.families import FAR, made, stored
from common.two_parents import invoke, merge, sources
from conftest import family_path, write_checkpoint
from parentage.support import number_ranges


@pytest.fixture
def merged(tmp_path):
    return merge(tmp_path)


def test_json_is_one_document_without_paths(merged, capsys):
    arguments = ("replay", merged / "recipe.json", *sources(merged), "--against", merged / "child")
    status, out, err = invoke(capsys, *arguments, "--json")
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert document["schema"] == "parentage.replay/1"
    assert document["replay"]["mismatches"] == 0
    assert document["replay"]["exact_share"] == 1.0
    assert document["written"] is None
    assert [each["name"] for each in document["parents"]] == ["one", "two"]
    assert str(merged) not in out


def test_evidence_of_a_trace_is_replayed(tmp_path, capsys):
    invoke(
        capsys, "trace", family_path("child"), "-b", family_path("base"),
        "-p", family_path("parent"), "-o", tmp_path,
    )  # fmt: skip
    evidence = json.loads((tmp_path / "evidence.json").read_text())
    arguments = ["--from", family_path("base"), "--from", family_path("parent")]
    status, out, _ = invoke(
        capsys, "replay", tmp_path / "evidence.json", *arguments,
        "--against", family_path("child"), "--json",
    )  # fmt: skip
    assert status == 0
    found = json.loads(out)["replay"]
    for key in ("elements", "mismatches", "explained", "zero_signs", "exact_share"):
        assert found[key] == evidence["recipe"][key]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--fail-on-mismatch", "--write", "out"],
        ["--against", "child", "--shard-size", "0"],
        ["--against", "child", "--threads", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_status_2(merged, capsys, options):
    status, out, err = invoke(capsys, "replay", merged / "recipe.json", *options)
    assert (status, out) == (2, "")
    assert "Usage" in err


def test_help_teaches_by_example(capsys):
    status, out, _ = invoke(capsys, "replay", "--help")
    assert status == 0
    assert out.count("parentage replay") > 3


def test_what_is_not_offered_is_looked_for_beside_the_recipe(merged, capsys):
    arguments = ("replay", merged / "recipe.json", "--against", merged / "child", "--json")
    status, out, _ = invoke(capsys, *arguments)
    assert status == 0
    assert json.loads(out)["replay"]["mismatches"] == 0
    (merged / "two").rename(merged / "moved")
    status, out, err = invoke(capsys, *arguments)
    assert (status, out) == (1, "")
    assert "two" in err
    status, out, _ = invoke(capsys, *arguments, "--from", f"two={merged / 'moved'}")
    assert status == 0


def test_a_mismatch_is_a_result_unless_it_is_to_fail(merged, capsys):
    arguments = ("replay", merged / "recipe.json", *sources(merged), "--against", merged / "one")
    status, out, _ = invoke(capsys, *arguments, "--json")
    assert status == 0
    assert json.loads(out)["replay"]["mismatches"] > 0
    status, _, err = invoke(capsys, *arguments, "--json", "--fail-on-mismatch")
    assert status != 0
    assert "--fail-on-mismatch" in err


FAMILY = made({"one": FAR["one"]})


def moved(tensors, order):
    """Return tensors with the layers of these numbers, in this order."""
    out = {name: x for name, x in tensors.items() if ".layers." not in name}
    for layer, source in enumerate(order):
        old, new = f".layers.{source}.", f".layers.{layer}."
        out |= {name.replace(old, new): x for name, x in tensors.items() if old in name}
    return out


@pytest.mark.parametrize("order", [(0, 2, 3), (0, 2, 1, 3), (0, 1, 1, 2, 3), (0, 1)], ids=str)
def test_what_a_trace_finds_of_a_merge_whose_layers_moved_is_what_replays(tmp_path, capsys, order):
    base, one = FAMILY["base"], FAMILY["one"]
    blend = {name: x + np.float32(0.6) * (one[name] - x) for name, x in base.items()}
    for name, tensors in (("base", base), ("one", one), ("child", moved(blend, order))):
        write_checkpoint(tmp_path / name, stored(tensors))
    arguments = ("trace", tmp_path / "child", "-b", tmp_path / "base", "-p", tmp_path / "one")
    assert invoke(capsys, *arguments, "-o", tmp_path / "evidence")[0] == 0
    evidence = json.loads((tmp_path / "evidence" / "evidence.json").read_text())
    verdict = evidence["verdict"]
    assert (verdict["kind"], verdict["level"]) == ("merge", "exact")
    assert f"; layer{'s' * (len(order) > 1)} {number_ranges(order)}, in " in verdict["text"]
    assert evidence["recipe"]["layers"] == {"base": list(order), "one": list(order)}
    replaying = ["replay", tmp_path / "evidence", "--from", tmp_path / "base"]
    replaying += ["--from", tmp_path / "one", "--against", tmp_path / "child", "--json"]
    status, out, _ = invoke(capsys, *replaying, "--write", tmp_path / "again", "--fail-on-mismatch")
    found = json.loads(out)
    assert status == 0
    assert (found["replay"]["exact_share"], found["replay"]["agrees"]) == (1.0, True)
    assert found["replay"]["elements"] == found["replay"]["elements_total"]
    assert found["written"]["agrees"]


def test_a_device_is_of_comparing(merged, capsys):
    arguments = ("replay", merged / "recipe.json", *sources(merged))
    status, _, err = invoke(capsys, *arguments, "--write", merged / "new", "--device", "cpu")
    assert status == 2
    assert "--device is of comparing with --against CHILD" in err
    status, _, err = invoke(capsys, *arguments, "--against", merged / "child", "--device", "tpu")
    assert status == 1
    assert err.startswith("error: 'tpu' is no device")


@pytest.mark.torch
def test_a_device_counts_what_the_core_counts(merged, capsys):
    arguments = ("replay", merged / "recipe.json", *sources(merged), "--against", merged / "child")
    found = [
        invoke(capsys, *arguments, "--json", *device)[:2] for device in ((), ("--device", "cpu"))
    ]
    assert found[0] == found[1]
    assert found[0][0] == 0
