"""Which options of a trace do not go together."""

import json
import os
import signal
import subprocess
import sys
import time

import parentage
import pytest
from common.networks import family_on_a_hub
from common.processes import COMMAND, interrupted
from common.streams import big
from conftest import family_path
from parentage.cli import run
from parentage.cli.commands.trace import refused

REFUSED = {
    "a digest of a sample": {"digest": "sha256", "sample": "50%"},
    "a digest until sure": {"digest": "sha256", "until_sure": True},
    "going on with nothing": {"resume": True},
    "going on with a sample": {"resume": True, "output": True, "sample": "50%"},
    "going on until sure": {"resume": True, "output": True, "until_sure": True},
}


def words(options):
    """Return options of Python as the command line has them."""
    for name, value in options.items():
        yield "--" + name.replace("_", "-")
        if value is not True:
            yield str(value)


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_the_command_refuses_what_python_refuses(capsys, tmp_path, options):
    options = {name: tmp_path if name == "output" else x for name, x in options.items()}
    family = {"base": family_path("base"), "parents": [family_path("parent")]}
    with pytest.raises(ValueError, match=r"digest|resume"):
        parentage.trace(family_path("child"), **family, **options)
    arguments = ["trace", "child", "-b", "base", *words(options)]
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert "Usage" in err
    assert "--digest is" in err or "--resume " in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("digest", [None, "sha256"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_full_pass_with_a_place_for_what_was_read_is_refused_nothing(tmp_path, digest, resume):
    assert refused(digest, tmp_path, resume=resume, is_sampled=False) is None


def test_parents_have_the_names_that_they_are_given(capsys):
    child, base, parent, sibling = (
        str(family_path(name)) for name in ("child", "base", "parent", "sibling")
    )
    arguments = ["trace", child, "-b", f"old={base}", "-p", f"tuned={parent}"]
    arguments += ["-c", f"tuned={sibling}", "--json", "--no-recipes"]
    assert run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["inputs"]["base"]["name"] == "old"
    assert [each["name"] for each in told["inputs"]["parents"]] == ["tuned"]
    assert [each["name"] for each in told["inputs"]["controls"]] == ["tuned#2"]
    assert told["recipe"] is None


def test_layers_beside_json_are_told_where_they_are(capsys):
    child, base = (str(family_path(name)) for name in ("child", "base"))
    assert run(["trace", child, "-b", base, "--json", "--layers", "--no-recipes"]) == 0
    said = capsys.readouterr()
    assert "slices.parquet" in said.err
    json.loads(said.out)


def test_everything_and_a_part_of_it_do_not_go_together(capsys):
    for part in (["--until-sure"], ["--sample", "50%"]):
        assert run(["trace", "child", "-b", "base", "--full", *part]) == 2
        assert "--full reads everything" in capsys.readouterr().err
    with pytest.raises(ValueError, match="full reads everything"):
        parentage.trace(family_path("child"), base=family_path("base"), full=True, sample="50%")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with family_on_a_hub(monkeypatch, tmp_path) as double:
        yield double


def test_remote_names_are_traced_and_what_that_cost_is_said(hub, capsys, tmp_path):
    names = ["hf://org/child", "-b", "old=hf://org/base", "-p", "tuned=org/parent"]
    cache = tmp_path / "cache"
    for turn in range(2):
        before = hub.counts.bytes["data"]
        assert run(["trace", *names, "--json", "--full", "--cache", str(cache)]) == 0
        out, err = capsys.readouterr()
        told = json.loads(out)
        assert told["verdict"]["kind"] == "merge"
        assert told["inputs"]["base"]["name"] == "old"
        assert told["inputs"]["base"]["source"] == "hf://org/base"
        assert "read as hf://org/parent" in err
        assert "requests" in err
        assert ("from the cache" in err) == (turn == 1)
        if turn:
            assert hub.counts.bytes["data"] == before
    assert run(["trace", *names, "--max-bytes", "100kB", "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "100,000 that may be received" in err
    assert "SECRET" not in err


@pytest.mark.parametrize("kind", ["resolve", "data"])
def test_ctrl_c_does_not_wait_for_a_server_that_stalls(hub, tmp_path, monkeypatch, kind):
    hub.fault = lambda asked: "stall:60" if asked.kind == kind else None
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    names = ["hf://org/child", "-b", "hf://org/base"]
    status, err, seconds = interrupted(["trace", *names])
    assert status == 130
    assert seconds < 3, err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--device", "tpu"], 1, "error: 'tpu' is no device; devices are cpu, cuda, mps, xpu"),
        (["--device-memory", "1GiB"], 2, "--device-memory is of the device that --device names"),
        (["--device", "cpu", "--device-memory", "5kB"], 2, "it is 16,777,216 bytes at least"),
    ],
)
def test_a_device_that_is_none_is_refused_in_a_line(capsys, arguments, status, said):
    given = ["trace", family_path("child"), "-b", family_path("base"), *arguments]
    assert run([str(each) for each in given]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


@pytest.mark.torch
def test_a_device_computes_what_is_traced(capsys):
    given = ["trace", family_path("child"), "-b", family_path("base"), "-p", family_path("parent")]
    found = []
    for device in ([], ["--device", "cpu", "--device-memory", "64MiB"]):
        assert run([str(each) for each in (*given, "--json", *device)]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[1]["tool"].pop("device")["backend"] == "torch"
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to a group of processes")
def test_ctrl_c_ends_workers_and_leaves_nothing_half_written(tmp_path):
    for name in ("child", "base", "parent"):
        big(tmp_path, name, megabytes=3000)
    places = [str(tmp_path / f"{name}.safetensors") for name in ("child", "base", "parent")]
    output = tmp_path / "evidence"
    with subprocess.Popen(
        [
            *COMMAND,
            "trace",
            places[0],
            "-b",
            places[1],
            "-p",
            places[2],
            "--no-recipes",
            "--workers",
            "2",
            "--threads",
            "1",
            "-o",
            str(output),
        ],
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PARENTAGE_LEVEL": "scalar"},
    ) as process:
        while not any(each.stat().st_size for each in output.glob(".writing-*/*")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "interrupted; nothing was written"
    assert not output.exists()
    # The group is empty once the last of them is gone.
    for _ in range(200):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("a worker is still there")


@pytest.mark.parametrize("spread", [["--workers", "2"], ["--dask", "local:2"], ["--part", "1/2"]])
def test_a_device_is_one_process_s(capsys, tmp_path, spread):
    given = ["trace", family_path("child"), "-b", family_path("base"), "-o", tmp_path / "evidence"]
    assert run([str(each) for each in (*given, "--device", "cpu", *spread)]) == 2
    assert "--device computes in one process" in capsys.readouterr().err


def test_without_a_base_it_is_said_first_what_was_assumed(capsys, tmp_path):
    library = ["--library", str(tmp_path / "library")]
    places = [str(family_path(name)) for name in ("base", "parent")]
    assert run(["library", "add", *places, *library]) == 0
    capsys.readouterr()
    assert run(["trace", str(family_path("child")), *library]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("Neither a base nor parents were given.")
    assert "which is no evidence" not in err
    assert "merge" in out
    assert "assumed" in out
    assert run(["trace", str(family_path("child")), "-p", places[1], *library, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["assumed"]["parents_given"] is True
    assert [each["role"] for each in told["assumed"]["checkpoints"]] == ["base"]


def test_with_nothing_to_assume_the_error_says_what_to_do(capsys, tmp_path):
    assert run(["trace", str(family_path("child")), "--library", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    for expected in ("error: no base is given", "--base", "parentage library add"):
        assert expected in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--part", "1/2", "-o", "parts"], "--part needs --base"),
        (["-b", "base", "--library", "x"], "--library and --follow-claims propose a base"),
        (["-b", "base", "--follow-claims"], "--library and --follow-claims propose a base"),
    ],
)
def test_what_does_not_go_with_a_base_or_without_is_refused(capsys, arguments, said):
    assert run(["trace", "child", *arguments]) == 2
    assert said in capsys.readouterr().err
