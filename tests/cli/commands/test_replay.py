"""Recipes carried out from the command line."""

import json

import pytest
from common.two_parents import invoke, merge, sources
from conftest import family_path


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
