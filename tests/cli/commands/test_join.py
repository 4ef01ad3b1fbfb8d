"""Parts and their evidence, from the command line."""

import json

import pytest
from common.evidence_of_workers import evidence_in
from conftest import family_path
from parentage.cli import run

TRACE = ["trace", family_path("child"), "-b", family_path("base"), "-p", family_path("parent")]
TRACE += ["-c", family_path("sibling"), "--seed", "7"]


def command(*arguments):
    return run(list(map(str, arguments)))


def test_parts_are_joined_to_what_one_trace_writes(tmp_path, capsys):
    for number in (1, 2):
        assert command(*TRACE, "--part", f"{number}/2", "-o", tmp_path / "parts") == 0
        out, err = capsys.readouterr()
        assert out == ""
        assert f"part {number}/2 is in {tmp_path / 'parts'}" in err
    joined = tmp_path / "joined"
    assert command("join", tmp_path / "parts", "-o", joined, "--fail-on", "merge") == 3
    out, err = capsys.readouterr()
    assert "merge" in out
    assert f"wrote {joined / 'evidence.json'}" in err
    assert command(*TRACE, "-o", tmp_path / "whole") == 0
    assert evidence_in(joined) == evidence_in(tmp_path / "whole")
    capsys.readouterr()
    assert command("join", tmp_path / "parts", "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["kind"] == "merge"


def test_what_is_missing_is_said_in_a_line(tmp_path, capsys):
    assert command(*TRACE, "--part", "2/3", "-o", tmp_path) == 0
    capsys.readouterr()
    assert command("join", tmp_path) == 1
    err = capsys.readouterr().err
    assert err == f"error: {tmp_path}: of 3 parts, 1, 3 are missing\n"
    assert command("join") == 2


@pytest.mark.parametrize("part", ["0/3", "4/3", "3", "a/b", "1/1000000", "-1/3", ""])
def test_what_is_no_part_is_wrong_usage(tmp_path, capsys, part):
    assert command(*TRACE, f"--part={part}", "-o", tmp_path / "parts") == 2
    assert "is no part; write 3/64 for the third of 64" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--part needs -o DIR"),
        (["-o", "x", "--json"], "parentage join takes them"),
        (["-o", "x", "--layers"], "parentage join takes them"),
        (["-o", "x", "--fail-on", "merge"], "parentage join takes them"),
        (["-o", "x", "--until-sure"], "--part is of everything"),
        (["-o", "x", "--workers", "2", "--dask", "local:2"], "and --dask has others"),
    ],
)
def test_options_that_do_not_go_with_a_part_are_wrong_usage(capsys, options, said):
    assert command(*TRACE, "--part", "1/2", *options) == 2
    assert said in capsys.readouterr().err


def test_workers_give_the_evidence_of_one_process(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("parentage.stream.backends.executor.LEAST", 1 << 14)
    assert command(*TRACE, "-o", tmp_path / "one") == 0
    assert command(*TRACE, "-o", tmp_path / "many", "--workers", "2", "--digest", "sha256") == 0
    capsys.readouterr()
    one, many = evidence_in(tmp_path / "one"), evidence_in(tmp_path / "many")
    for name in ("slices.parquet", "sums.parquet", "recipe.yaml"):
        assert one[name] == many[name]
