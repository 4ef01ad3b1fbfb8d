import hashlib
import json
import subprocess
import sys

import numpy as np
import parentage
import pytest
from conftest import opened
from parentage import _core
from parentage.checkpoint import open_all
from parentage.demo import family
from parentage.evidence import Journal, identity
from parentage.stream import choose_io


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def paths():
    return family("child"), {"base": family("base"), "parents": [family("parent")]}


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
@pytest.mark.parametrize("threads", [1, 3])
def test_digests_are_those_of_the_files(io, threads):
    child, others = paths()
    found = parentage.trace(
        child, **others, digest="sha256", io=io, threads=threads, tile_bytes=4096, recipes=False
    )
    inputs = found.evidence["inputs"]
    for each, described in [
        (found.inputs.child, inputs["child"]),
        (found.inputs.base, inputs["base"]),
        (found.inputs.parents[0], inputs["parents"][0]),
    ]:
        assert [file["sha256"] for file in described["files"]] == [
            sha256(shard.path) for shard in each.shards
        ]


def test_without_being_asked_for_no_file_has_a_digest():
    child, others = paths()
    found = parentage.trace(child, **others, recipes=False)
    assert found.digests == {}
    assert found.evidence["inputs"]["child"]["files"][0]["sha256"] is None


def test_the_command_prints_them_as_sha256sum_does():
    child, others = paths()
    command = [sys.executable, "-c", "from parentage.cli import main; main()", "trace", child]
    command += ["--base", others["base"], "--parent", others["parents"][0], "--digest", "sha256"]
    done = subprocess.run(map(str, command), capture_output=True, text=True, check=True)
    opened = parentage.Checkpoint.open(child)
    for shard in opened.shards:
        assert f"{sha256(shard.path)}  {opened.name}/{shard.name}\n" in done.stdout


def test_a_sample_has_no_digests():
    child, others = paths()
    with pytest.raises(ValueError, match="whole files"):
        parentage.trace(child, **others, digest="sha256", sample="10%")
    with pytest.raises(ValueError, match="must be sha256"):
        parentage.trace(child, **others, digest="md5")


def test_digests_that_were_complete_are_kept_for_a_resume(tmp_path):
    child, others = paths()
    # What a trace leaves that was killed after its last slice.
    plain = parentage.trace(child, **others, digest="sha256", recipes=False)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parentage.Trace, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            parentage.trace(child, **others, digest="sha256", recipes=False, output=tmp_path)
    with Journal(tmp_path, identity(open_all(child, **others, controls=())), resume=True) as kept:
        digests = list(kept.records("digest"))
    again = parentage.trace(
        child, **others, digest="sha256", recipes=False, output=tmp_path, resume=True
    )
    assert again.to_json() == plain.to_json()
    assert json.loads((tmp_path / "evidence.json").read_text()) == plain.evidence
    for each in digests:
        assert len(each.values["sha256"]) == 64


def test_a_pass_can_be_given_digests_of_fewer_checkpoints(tmp_path):
    arrays = {"x": np.arange(5000, dtype=np.float32)}
    one, other = (opened(tmp_path, name, arrays) for name in ("one", "other"))
    digests = _core.Digests([one.core])
    zeros = np.zeros((1, 2), np.uint64)
    plan = _core.Plan([one.core, other.core], np.array([5000], np.uint64), zeros, zeros)
    _core.gram(plan, 0, 1, threads=1, digests=digests)
    assert digests.complete() == [(0, 0, sha256(one.shards[0].path))]


def test_files_that_do_not_fit_in_memory_are_read_past_the_cache(tmp_path, monkeypatch):
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 16000000 kB\nMemAvailable:  1000 kB\n")
    monkeypatch.setattr("parentage.stream.options.MEMORY", told)
    assert choose_io("auto", 1_024_000) == "mmap"
    assert choose_io("auto", 1_024_001) == "direct"
    assert choose_io("pread", 1 << 60) == "pread"
    monkeypatch.setattr("parentage.stream.options.MEMORY", tmp_path / "none")
    assert choose_io("auto", 1 << 60) == "mmap"
