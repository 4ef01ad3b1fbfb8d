"""Traces as a whole: what they refuse, how much memory they take, and what else they give."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import parentage
import pytest
from common.digests import paths, sha256
from common.evidence_of_workers import same_evidence
from common.evidence_of_workers import traced as traced_by
from common.merges import merged
from common.networks import family_on_a_hub, quick
from common.streams import big
from common.traced import MERGE, disturbed, number, trace
from conftest import family_path, write_checkpoint
from parentage.hypothesise import SampleEstimates
from parentage.library import Library
from parentage.pipeline import trace as traced
from parentage.pipeline.flow import refuse_limits
from parentage.support import PlanError


def test_no_thread_is_refused_by_trace_too(family):
    with pytest.raises(ValueError, match="threads must be 1 to 1024, not 0"):
        parentage.trace(family("child"), base=family("base"), parents=[family("parent")], threads=0)


TRACE_AND_WATCH_MEMORY = """
import sys, threading, time
import parentage, parentage.pipeline
from pathlib import Path

def held():
    status = Path("/proc/self/status").read_text()
    rows = dict(line.split(":", 1) for line in status.splitlines())
    return [int(rows[key].split()[0]) for key in ("RssAnon", "RssFile")]

child, base, parent, small, io = sys.argv[1:]
# Libraries allocate when they are first used: that is no part of what grows with the input.
parentage.trace(f"{small}/child", base=f"{small}/base", parents=[f"{small}/parent"], io=io)
before, samples, over = held(), [], threading.Event()

def sample():
    while not over.wait(0.001):
        samples.append(held())

watcher = threading.Thread(target=sample)
watcher.start()
found = parentage.trace(child, base=base, parents=[parent], threads=2, io=io)
over.set()
watcher.join()
assert found.elements == found.elements_total
for kind in (0, 1):
    print(max(each[kind] for each in samples) - before[kind])
print(len(samples))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
@pytest.mark.parametrize(
    ("io", "megabytes"),
    [
        ("mmap", 200),
        ("pread", 200),
        pytest.param("mmap", 800, marks=pytest.mark.slow),
        pytest.param("pread", 800, marks=pytest.mark.slow),
    ],
)
def test_memory_does_not_grow_with_the_checkpoint(tmp_path, family, io, megabytes):
    """In KiB: anonymous memory, and mapped pages that are held at once."""
    paths = [big(tmp_path, name, megabytes).path for name in ("child", "base", "parent")]
    arguments = [*map(str, paths), str(family("base").parent), io]
    done = subprocess.run(
        [sys.executable, "-c", TRACE_AND_WATCH_MEMORY, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    anonymous, mapped, samples = map(int, done.stdout.split())
    print(f"{anonymous} KiB anonymous, {mapped} KiB mapped, {samples} samples")
    assert samples > 10
    assert anonymous < 64 << 10
    # Three windows of 8 MiB for each of two threads, and as much again to be on the safe side.
    assert mapped < 96 << 10


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_more_shards_than_files_may_be_open_are_read(tmp_path, io):
    random = np.random.default_rng(4)
    names = [f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(60)]
    base = {name: random.normal(0, 0.02, (40, 30)).astype(np.float32) for name in names}
    child = {name: values + random.normal(0, 0.001, (40, 30)) for name, values in base.items()}
    child = {name: values.astype(np.float32) for name, values in child.items()}
    one, two = (
        write_checkpoint(tmp_path / name, tensors, shards=60)
        for name, tensors in (("base", base), ("child", child))
    )
    script = (
        "import resource, sys\n"
        "from parentage.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))\n"
        "main()"
    )
    command = [sys.executable, "-c", script, "trace", two, "--base", one, "--io", io, "--json"]
    found = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["model"]["n"] == 60 * 1200


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


def test_without_recipes_there_is_none(tmp_path):
    found = trace(tmp_path, MERGE, ["one"], recipes=False)
    assert found.recipe is None
    assert found.evidence["recipe"] is None
    assert number(found, "cells:one") is None
    assert found.verdict.level == "statistical"


# The same evidence, however it is read.

READ: dict[str, dict[str, Any]] = {
    "one thread, large tiles": {"threads": 1, "tile_bytes": 1 << 24},
    "two threads": {"threads": 2, "io": "mmap"},
    "three threads, small tiles": {"tile_bytes": 4096, "threads": 3},
    "pread": {"io": "pread", "threads": 3, "tile_bytes": 1 << 14},
    "scalar": {"level": "scalar"},
}


@pytest.mark.parametrize("options", READ.values(), ids=READ)
@pytest.mark.parametrize("child", ["exact", "changed"])
def test_evidence_is_the_same_however_it_is_read(usual, tmp_path, child, options):
    folder, expected = usual[child]
    found = traced(
        folder / "child", base=folder / "base", parents=[folder / "one", folder / "two"], **options
    )
    found.save(tmp_path)
    for name, content in expected.items():
        assert (tmp_path / name).read_bytes() == content, name


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The evidence of two children, as it is written by default."""
    out = {}
    merge = merged("linear", "float32", {"one": 0.5, "two": 0.3, "base": 0.2})
    for name, child in {"exact": merge, "changed": disturbed(merge, scale=5e-4)}.items():
        folder = tmp_path_factory.mktemp(name)
        trace(folder, child, ["one", "two"]).save(folder / "evidence")
        files = ("evidence.json", "facts.json", "manifest.json", "slices.parquet", "sums.parquet")
        files += ("report.html", "spectrum.parquet")
        out[name] = folder, {each: (folder / "evidence" / each).read_bytes() for each in files}
    kinds = [json.loads(files["evidence.json"])["verdict"]["kind"] for _, files in out.values()]
    assert kinds == ["merge", "related"]
    return out


def test_the_package_offers_the_same_trace():
    assert parentage.trace is traced


@pytest.mark.parametrize("recipes", [True, False])
def test_one_sample_shows_descent_and_recipes(family, monkeypatch, recipes):
    drawn = []

    class Counted(SampleEstimates):
        def __init__(self, *given):
            drawn.append(given)
            super().__init__(*given)

    for module in ("pipeline.roles", "pipeline.flow", "verdict.gather"):
        monkeypatch.setattr(f"parentage.{module}.SampleEstimates", Counted)
    parentage.trace(
        family("child"), base=family("base"), parents=[family("parent")], recipes=recipes
    )
    assert len(drawn) == 1


def test_memory_without_a_device_is_refused(family):
    with pytest.raises(ValueError, match="device memory is of a device"):
        parentage.trace(family("child"), base=family("base"), device_memory=1 << 30)


@pytest.mark.torch
@pytest.mark.parametrize("options", [{}, {"sample": "40%", "seed": 3}, {"digest": "sha256"}])
def test_a_device_changes_nothing_but_that_it_is_named(family, tmp_path, options):
    given = {"base": family("base"), "parents": [family("parent"), family("sibling")]}
    saved = []
    for device in (None, "cpu"):
        folder = tmp_path / str(device)
        found = parentage.trace(
            family("child"), **given, **options, device=device, output=folder, threads=2
        )
        assert (found.device is None) == (device is None)
        saved.append({each.name: each.read_bytes() for each in folder.iterdir()})
    documents = [json.loads(each["evidence.json"]) for each in saved]
    told = documents[1]["tool"].pop("device")
    assert (told["backend"], told["device"]) == ("torch", "cpu")
    assert documents[0] == documents[1]
    assert saved[0].keys() == saved[1].keys()
    for name in ("slices.parquet", "spectrum.parquet", "recipe.json"):
        assert saved[0].get(name) == saved[1].get(name)
    assert "slices.parquet" in saved[0]


@pytest.mark.torch
def test_what_is_to_be_said_of_a_device_is_noted(family, monkeypatch):
    from parentage.stream.backends.torch import engine

    monkeypatch.setattr(engine, "examine", lambda *_, **__: (None, "it rounds twice"))
    notes = []
    found = parentage.trace(
        family("child"), base=family("base"), parents=[family("parent")], device="cpu",
        note=notes.append,
    )  # fmt: skip
    assert notes == ["cpu: it rounds twice; the core computes instead"]
    assert found.device["computed"] == "by the core: it rounds twice"
    assert found.verdict.kind == "merge"


def test_a_limit_on_what_is_received_is_refused_where_workers_receive():
    fetched, here = SimpleNamespace(is_remote=True), SimpleNamespace(is_remote=False)
    limited, free = parentage.Network(max_bytes=1000), parentage.Network()
    for network, checkpoints in ((None, [fetched]), (free, [fetched]), (limited, [here])):
        refuse_limits(network, checkpoints)
    with pytest.raises(ValueError, match="max_bytes binds this process"):
        refuse_limits(limited, [here, fetched])


def test_what_is_no_executor_is_refused(family):
    with pytest.raises(TypeError, match=r"has the interface of concurrent\.futures, and this is"):
        parentage.trace(family("child"), base=family("base"), executor=3)


@pytest.mark.parametrize("digest", [None, "sha256"])
def test_evidence_of_workers_is_that_of_one_process(tmp_path, monkeypatch, digest):
    with ThreadPoolExecutor(2) as executor:
        same_evidence(tmp_path, monkeypatch, executor, digest=digest)


@pytest.mark.parametrize("workers", [None, 2])
def test_what_workers_have_read_is_gone_on_with(tmp_path, monkeypatch, workers):
    """An interrupted trace by workers goes on without them, or with others."""
    monkeypatch.setattr("parentage.stream.cuts.RANGE_BYTES", 1)

    class Enough(parentage.Progress):
        def start(self, total):
            self.total = total

        def update(self, done):
            # Workers have three ranges in hand: most are joined by now.
            if done > 0.9 * self.total:
                raise KeyboardInterrupt

    expected = traced_by(tmp_path, monkeypatch, None)
    with ThreadPoolExecutor(2) as executor:
        with pytest.raises(KeyboardInterrupt):
            traced_by(tmp_path, monkeypatch, executor, progress=Enough())
        assert (tmp_path / "many" / "trace.journal").exists()
        assert not list((tmp_path / "many").glob(".writing-*"))
        again = executor if workers else None
        if again is None:
            (tmp_path / "one").rename(tmp_path / "expected")
            (tmp_path / "many").rename(tmp_path / "one")
        assert traced_by(tmp_path, monkeypatch, again, resume=True) == expected


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A library that knows where the family is, but for the child."""
    found = Library(tmp_path_factory.mktemp("library"))
    found.add([family_path(name) for name in ("base", "parent", "sibling")], size=1 << 18)
    return found


@pytest.fixture(scope="module")
def sketches(library, tmp_path_factory):
    """A library of the same sketches, of which nobody knows where they are from."""
    found = Library(tmp_path_factory.mktemp("sketches"))
    found.add([library.path(name) for name in library.names])
    return found


def test_without_a_base_what_is_assumed_is_traced_and_said(library, tmp_path):
    said: list[str] = []
    found = traced(family_path("child"), library=library, output=tmp_path / "e", note=said.append)
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    assert set(found.recipe.checkpoints) == {"base", "parent"}
    assert said[0] == "Neither a base nor parents were given."
    assert "the search of a library of 3 sketches proposes them" in found.verdict.text
    evidence = json.loads((tmp_path / "e" / "evidence.json").read_text("utf-8"))
    assert {each["name"] for each in evidence["assumed"]["checkpoints"]} >= {"base", "parent"}
    assert str(library.folder) not in json.dumps(evidence)
    assert "was not all given" in (tmp_path / "e" / "report.html").read_text("utf-8")


def test_what_was_assumed_is_the_same_as_what_is_given_in_all_but_words(library):
    assumed = traced(family_path("child"), library=library, seed=1)
    offered = assumed.offered
    given = traced(
        family_path("child"),
        base=family_path(offered.base.name),
        parents=[family_path(each.name) for each in offered.parents],
        controls=[family_path(each.name) for each in offered.controls],
        seed=1,
    )
    assert assumed.slices.equals(given.slices)
    assert assumed.verdict.numbers == given.verdict.numbers
    assert assumed.verdict.text.startswith(given.verdict.text)
    assert given.assumed is None
    assert "assumed" not in given.evidence


def test_sketches_that_are_assumed_give_a_verdict_that_is_statistical(sketches):
    found = traced(family_path("child"), library=sketches)
    assert (found.verdict.kind, found.verdict.level) == ("merge", "statistical")
    assert "(a sketch)" in found.verdict.text


def test_a_sample_and_a_digest_are_of_whole_files_and_no_sketch_is_assumed_for_them(
    sketches, library
):
    for options in ({"sample": "50%"}, {"digest": "sha256"}):
        with pytest.raises(PlanError, match="whole files are asked for"):
            traced(family_path("child"), library=sketches, **options)
        assert traced(family_path("child"), library=library, **options).assumed is not None


def test_a_claim_names_and_weights_decide(tmp_path, weights):
    child = write_checkpoint(tmp_path / "child", weights["child"])
    write_checkpoint(tmp_path / "base", weights["base"])
    draw = np.random.default_rng(4)
    strange = {k: draw.normal(size=x.shape).astype("f4") for k, x in weights["base"].items()}
    write_checkpoint(tmp_path / "stranger", strange)
    kinds = {}
    for name in ("base", "stranger"):
        (child / "README.md").write_text(f"---\nbase_model: org/{name}\n---\n")
        found = traced(child, library=tmp_path / "none")
        kinds[name] = found.verdict.kind
        assert f"README.md, base_model: org/{name}), which is no evidence" in found.verdict.text
    assert kinds == {"base": "related", "stranger": "unrelated"}


def test_with_nothing_to_propose_it_is_an_error(tmp_path):
    with pytest.raises(PlanError, match="Name one with --base"):
        traced(family_path("child"), library=tmp_path)


def test_a_remote_child_is_traced_beside_sketches(sketches, tmp_path, monkeypatch):
    with family_on_a_hub(monkeypatch, tmp_path) as double:
        found = traced("hf://org/child", library=sketches, network=quick())
        assert (found.verdict.kind, found.verdict.level) == ("merge", "statistical")
        size = (family_path("child") / "model.safetensors").stat().st_size
        assert double.counts.bytes["data"] < 2 * size


def test_evidence_of_what_was_assumed_goes_on_where_it_stopped(library, tmp_path):
    """A library is searched again, and proposes the same."""
    one = traced(family_path("child"), library=library, seed=3)
    two = traced(family_path("child"), library=library, seed=3, output=tmp_path, resume=True)
    assert one.to_json() == two.to_json()
