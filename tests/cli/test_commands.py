"""The command line as a person or a pipeline meets it."""

import json
import os
import pty
import subprocess

import numpy as np
import polars as pl
import pytest
from common.processes import COMMAND, interrupted
from common.streams import big
from conftest import BF16, family_path, write_checkpoint
from parentage.cli import run

FILES = {
    *("custody.jsonl", "evidence.json", "facts.json", "manifest.json", "metadata.json"),
    *("recipe.yaml", "report.html", "slices.parquet", "spectrum.parquet", "sums.parquet"),
}
"""What a trace writes."""


def invoke(capsys, *arguments):
    """Run the command line in this process; return status, stdout and stderr."""
    status = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def trace_arguments(child="child", *more):
    family = ("--base", family_path("base"), "--parent", family_path("parent"))
    return ("trace", family_path(child), *family, *more)


def random_weights(seed=0, shape=(8, 16), dtype=BF16):
    return {"a.weight": np.random.default_rng(seed).standard_normal(shape).astype(dtype)}


def test_a_blend_is_told_at_a_glance(capsys):
    status, out, err = invoke(
        capsys, *trace_arguments("child", "--control", family_path("sibling"))
    )
    assert status == 0
    assert err == ""
    for expected in ("merge", "exact", "0.60", "sibling (control, alone)", "mlp", "100.00%"):
        assert expected in out


def test_json_is_one_document_on_stdout_and_nothing_else(capsys):
    status, out, err = invoke(capsys, *trace_arguments("child", "--json"))
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert document["schema"] == "parentage.evidence/2"
    assert document["verdict"]["kind"] == "merge"
    assert abs(document["model"]["weights"]["parent"]["ols"] - 0.6) < 2e-3


def test_evidence_on_disk_is_the_document_that_is_printed(capsys, tmp_path):
    _, out, err = invoke(
        capsys, *trace_arguments("child", "--json", "-o", tmp_path / "new" / "evidence")
    )
    folder = tmp_path / "new" / "evidence"
    assert (folder / "evidence.json").read_text() == out
    assert pl.read_parquet(folder / "slices.parquet").height == 23 * 2
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert "wrote" in err


@pytest.mark.parametrize(
    "options",
    [
        *(["--threads", str(threads)] for threads in (1, 2, 3, 8)),
        *(["--tile-size", size] for size in ("4096", "64KiB", "1MB")),
        ["--io", "pread"],
    ],
    ids=" ".join,
)
def test_evidence_has_the_same_bytes_however_it_was_read(capsys, tmp_path, options):
    invoke(capsys, *trace_arguments("child", "-o", tmp_path / "usual"))
    invoke(capsys, *trace_arguments("child", "-o", tmp_path / "other", *options))
    for name in FILES - {"custody.jsonl"}:
        assert (tmp_path / "usual" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_layers_are_shown_when_asked_for(capsys):
    _, out, _ = invoke(capsys, *trace_arguments("child", "--layers"))
    assert "layer" in out
    assert "1 (11)" in out


def test_fail_on_ends_with_status_3_on_its_verdict_alone(capsys):
    assert invoke(capsys, *trace_arguments("child", "--fail-on", "merge", "--json"))[0] == 3
    assert invoke(capsys, *trace_arguments("child", "--fail-on", "identical", "--json"))[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["trace"],
        ["trace", "child", "--part", "1/2", "-o", "parts"],
        ["trace", "child", "--base", "base", "--fail-on", "guilty"],
        ["trace", "child", "--base", "base", "--threads", "0"],
        ["trace", "child", "--base", "base", "--tile-size", "big"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_status_2(capsys, arguments):
    status, out, err = invoke(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert "Usage" in err


@pytest.mark.parametrize("words", [[], ["trace"], ["replay"], ["inspect"]], ids=" ".join)
def test_a_command_alone_shows_its_help_and_ends_with_status_2(capsys, words):
    _, asked_for, _ = invoke(capsys, *words, "--help")
    assert "Usage: " + " ".join(["parentage", *words]) in asked_for
    assert invoke(capsys, *words) == (2, "", asked_for)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("", "nothing was written"),
        ("all of it is kept", "all of it is kept"),
    ],
    ids=["nothing", "what is kept"],
)
def test_an_interrupt_ends_with_status_130_and_says_what_is_left(capsys, monkeypatch, said, shown):
    def interrupted(*_, **__):
        raise KeyboardInterrupt(*filter(None, [said]))

    monkeypatch.setattr("parentage.pipeline.trace", interrupted)
    status, out, err = invoke(capsys, *trace_arguments())
    assert (status, out) == (130, "")
    assert err.strip() == f"interrupted; {shown}"


def test_what_is_not_foreseen_is_raised_as_it_is(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("not foreseen")

    monkeypatch.setattr("parentage.pipeline.trace", broken)
    with pytest.raises(RuntimeError, match="not foreseen"):
        run([str(each) for each in trace_arguments()])


def test_help_teaches_by_example(capsys):
    for command in ([], ["trace"], ["inspect"], ["completion"]):
        status, out, _ = invoke(capsys, *command, "--help")
        assert status == 0
        assert (
            "parentage trace" in out or "parentage inspect" in out or "parentage completion" in out
        )


def broken_inputs(folder):
    """Return cases of (name, arguments, what the message must say)."""
    good = write_checkpoint(folder / "good", random_weights())
    other = write_checkpoint(folder / "other", {"b.weight": random_weights(1)["a.weight"]})
    reshaped = write_checkpoint(folder / "reshaped", random_weights(2, (4, 4)))
    text = folder / "text.safetensors"
    text.write_text("these are not the weights you are looking for")
    pickles = folder / "pickles"
    pickles.mkdir()
    (pickles / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    empty = folder / "empty"
    empty.mkdir()
    cut = write_checkpoint(folder / "cut", random_weights())
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[:-10])
    return [
        ("missing", [folder / "none", "-b", good], "none"),
        ("not safetensors", [text, "-b", good], "text.safetensors"),
        ("pickles", [pickles, "-b", good], "safetensors"),
        ("empty folder", [empty, "-b", good], "empty"),
        ("cut short", [cut, "-b", good], "a.weight"),
        ("child as base", [good, "-b", good], "given as the child and as the base"),
        ("child as parent", [good, "-b", other, "-p", good], "given as the child and as a parent"),
        ("parent twice", [other, "-b", good, "-p", reshaped, "-p", reshaped], "given twice"),
        ("other architecture", [good, "-b", other], "nothing to compare"),
        ("other shapes", [good, "-b", reshaped], "shape"),
    ]


def test_each_bad_input_ends_in_one_message_and_status_1(capsys, tmp_path):
    for name, arguments, expected in broken_inputs(tmp_path):
        evidence = tmp_path / "evidence"
        status, out, err = invoke(capsys, "trace", *arguments, "-o", evidence)
        assert status == 1, name
        assert out == "", name
        assert err.startswith("error: "), name
        assert expected in err, name
        assert len(err.splitlines()) == 1, name
        assert not evidence.exists(), name


def test_too_many_parents_are_refused(capsys, tmp_path):
    folders = [write_checkpoint(tmp_path / str(i), random_weights(i)) for i in range(11)]
    options = [word for folder in folders[2:] for word in ("-p", folder)]
    status, _, err = invoke(capsys, "trace", folders[0], "-b", folders[1], *options)
    assert status == 1
    assert "8" in err


def test_a_place_that_can_not_be_written_is_refused_before_the_work(capsys, tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    for place in (in_the_way, in_the_way / "below"):
        status, out, err = invoke(capsys, *trace_arguments("child", "-o", place))
        assert (status, out) == (1, "")
        assert "is not a folder" in err


def test_markup_and_escapes_in_names_reach_no_terminal(capsys, tmp_path):
    evil = "[red]a[/red]\x1b[2J\u202e.weight"
    tensors = {evil: random_weights()["a.weight"], "b.weight": random_weights(1)["a.weight"]}
    child = write_checkpoint(tmp_path / "[bold]child", tensors)
    base = write_checkpoint(tmp_path / "base", {"b.weight": random_weights(2)["a.weight"]})
    for arguments in (["trace", child, "-b", base], ["inspect", child, "--tensors"]):
        status, out, err = invoke(capsys, *arguments)
        assert status == 0
        assert "\x1b[2J" not in out + err
        assert "\u202e" not in out + err
        assert "[red]a[/red]" in out


def test_colour_is_for_terminals():
    environment = {key: x for key, x in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"}
    arguments = [*COMMAND, *map(str, trace_arguments())]

    def on_a_terminal(*more):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*arguments, *more], stdout=theirs, stderr=theirs, env=environment, close_fds=True
        )
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            parts.append(part)
        os.close(ours)
        assert process.wait() == 0
        return b"".join(parts)

    assert b"\x1b[1;31mmerge" in on_a_terminal()
    assert b"\x1b[1;31m" not in on_a_terminal("--no-color", "--quiet")
    piped = subprocess.run(arguments, capture_output=True, check=True, env=environment)
    assert b"\x1b[" not in piped.stdout


def test_a_reader_that_leaves_is_no_error_message():
    command = [*COMMAND, "inspect", str(family_path("base")), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.slow
def test_ctrl_c_ends_a_trace_with_status_130_and_leaves_nothing(tmp_path):
    # Zeros by the gigabyte, so that the pass takes seconds on any machine.
    child, base, parent = (
        big(tmp_path, name, 6 << 10).path for name in ("child", "base", "parent")
    )
    evidence = tmp_path / "evidence"
    arguments = ["trace", child, "-b", base, "-p", parent, "--threads", "1", "-o", evidence]
    status, err, waited = interrupted(arguments)
    assert status == 130
    assert b"Traceback" not in err
    assert b"interrupted" in err
    assert not evidence.exists()
    assert waited < 10, "a loose bound against hanging, not a measurement"
