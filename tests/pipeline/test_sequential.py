"""Verdicts from samples, how large those are, and first looks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import parentage
import polars as pl
import pytest
from conftest import BF16, family_path, write_checkpoint
from parentage.align import pair
from parentage.checkpoint import open_all
from parentage.cli import run
from parentage.descent import relations_of
from parentage.hypothesise import SampleEstimates
from parentage.pipeline import sequential as sure
from parentage.pipeline.sequential import SampleRequest, with_preview
from parentage.sample import SearchSample
from parentage.stream import SILENT, Options, Progress
from parentage.support import Portion
from parentage.verdict import TraceInputs

LAYERS, SHAPE = 12, (128, 512)
TOTAL = 3 * 2 * LAYERS * SHAPE[0] * SHAPE[1]
"""Bytes of base, parent and child."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base, a parent, a blend of both, a copy, and a child that nothing is decided about."""
    rng = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("sampled")
    made: dict[str, dict[str, np.ndarray]] = {
        name: {} for name in ("base", "parent", "blend", "copy", "moved")
    }
    for i in range(LAYERS):
        name = f"model.layers.{i}.mlp.up_proj.weight"
        base = rng.normal(0, 0.02, SHAPE).astype(BF16).astype(np.float32)
        parent = (base + rng.normal(0, 0.002, SHAPE)).astype(BF16).astype(np.float32)
        blend = np.float32(0.6) * parent + np.float32(0.4) * base
        made["base"][name] = base.astype(BF16)
        made["parent"][name] = made["copy"][name] = parent.astype(BF16)
        made["blend"][name] = blend.astype(BF16)
        # Layers of which one half is reversed: neither a blend nor a direction of its own.
        moved = blend.astype(BF16)
        moved[:, ::2] = moved[::-1, ::2] if i % 3 == 0 else moved[:, ::2]
        made["moved"][name] = moved
    return {name: write_checkpoint(folder / name, tensors) for name, tensors in made.items()}


def trace(folders, child, **options):
    options.setdefault("recipes", False)
    return parentage.trace(
        folders[child], base=folders["base"], parents=[folders["parent"]], **options
    )


class Listener(Progress):
    def __init__(self):
        self.looks, self.bytes = [], []

    def start(self, total):
        self.bytes.append(total)

    def update(self, done):
        pass

    def look(self, preview):
        self.looks.append(preview)


def parent(model):
    """The row of the parent."""
    return model.row(by_predicate=pl.col("checkpoint") == "parent", named=True)


def test_a_sample_gives_the_verdict_and_nearly_the_numbers_of_everything(folders):
    some, full = trace(folders, "blend", sample="20%"), trace(folders, "blend")
    assert some.verdict.kind == full.verdict.kind == "merge"
    assert full.sample is None
    assert 0.15 < some.sample.share < 0.21
    assert some.elements == some.sample.elements == some.model["n"][0] < full.elements / 4
    error = parent(some.model)["se"]
    assert 0 < error < 1e-3
    assert abs(some.weights["parent"] - full.weights["parent"]) < 5 * error
    assert np.isclose(some.model["rounding_rms"][0], full.model["rounding_rms"][0], rtol=0.02)
    assert (some.slices["n"] > 0).all()


def test_a_sample_is_in_the_evidence(folders):
    document = trace(folders, "blend", sample="20%", seed=3).evidence
    told = document["parameters"]["sample"]
    assert told["asked"] == "20%"
    assert told["seed"] == 3
    assert told["sure"] is None
    assert told["elements"] == document["coverage"]["elements_read"] == document["model"]["n"]
    assert told["share"] == pytest.approx(told["bytes"] / TOTAL)
    assert told["runs"] * told["run_elements"] == told["elements"]
    assert trace(folders, "blend").evidence["parameters"]["sample"] is None


@pytest.mark.parametrize("options", [{"sample": "25%"}, {"sample": "25%", "recipes": True}])
def test_nothing_is_exact_from_a_sample(folders, options):
    for child, kind in (("copy", "identical"), ("blend", "merge")):
        verdict = trace(folders, child, **options).verdict
        assert verdict.kind == kind
        assert verdict.level == "statistical"
        assert "This rests on a sample" in verdict.text
        assert "compared" not in verdict.text
        if verdict.rule != "merge":
            assert 0.03 < verdict.numbers["unseen"] < 0.1
            assert "With 95% confidence" in verdict.text


def test_one_seed_writes_the_same_bytes_and_another_does_not(folders):
    one = trace(folders, "blend", sample="10%", seed=1)
    assert one.to_json() == trace(folders, "blend", sample="10%", seed=1, threads=1).to_json()
    other = trace(folders, "blend", sample="10%", seed=2)
    assert one.weights != other.weights


def test_the_system_draws_a_seed_that_can_be_given_again(folders):
    one, two = (trace(folders, "copy", sample="10%") for _ in "12")
    seeds = [each.evidence["parameters"]["sample"]["seed"] for each in (one, two)]
    assert seeds[0] != seeds[1]
    assert not one.evidence["parameters"]["sample"]["is_seed_given"]
    again = trace(folders, "copy", sample="10%", seed=seeds[0])
    assert again.slices.equals(one.slices)
    assert again.evidence["parameters"]["sample"]["is_seed_given"]


def test_no_confidence_is_stated_for_a_seed_that_a_maker_may_have_known(folders):
    verdict = trace(folders, "copy", sample="25%", seed=0).verdict
    assert verdict.kind == "identical"
    assert "confidence" not in verdict.text
    assert "how much of it is not bounded" in verdict.text
    assert verdict.numbers["unseen"] is None


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_a_seed_out_of_its_range_is_refused(folders, seed):
    with pytest.raises(ValueError, match="a seed is a number from 0"):
        trace(folders, "copy", seed=seed)


def test_the_places_of_the_search_are_drawn_and_kept_in_the_evidence(folders, monkeypatch):
    def searched(**options):
        found = trace(folders, "blend", recipes=True, **options)
        return found.evidence["parameters"]["search_seed"], found.to_json()

    # All of it is searched: nothing hangs on a seed.
    assert searched()[0] is None
    assert searched(seed=1) == searched(seed=2) == searched()
    monkeypatch.setattr("parentage.sample.search_sample.SearchSample.is_whole", False)
    drawn, text = searched()
    assert drawn != searched()[0]
    assert searched(seed=drawn) == (drawn, text)


@pytest.mark.parametrize("sample", ["100%", TOTAL, "1TB"])
def test_a_sample_of_everything_is_a_full_pass(folders, sample):
    assert trace(folders, "blend", sample=sample).to_json() == trace(folders, "blend").to_json()


@pytest.fixture
def early(monkeypatch):
    """Samples are judged from 200 kB on, and are settled by fewer runs than a model has."""
    monkeypatch.setattr(sure, "FIRST", 200_000)
    monkeypatch.setattr(sure, "UNSEEN", 0.2)


@pytest.mark.usefixtures("early")
def test_it_stops_when_it_is_sure(folders):
    listener = Listener()
    found = trace(folders, "blend", until_sure=True, progress=listener)
    assert found.verdict.kind == "merge"
    assert found.sample.sure
    # One run of every slice is too little for a blend to be significant.
    kinds = [preview.kind for preview in listener.looks]
    assert kinds == ["related", "merge", "merge"]
    assert found.sample.rounds == 3
    assert found.sample.share < 0.3
    # Each round reads what the former did not.
    assert sum(listener.bytes) == found.sample.bytes
    read = [preview.share * TOTAL for preview in listener.looks]
    assert read == pytest.approx(np.cumsum(listener.bytes).tolist())


@pytest.mark.usefixtures("early")
def test_it_reads_everything_of_what_nothing_decides(folders):
    listener = Listener()
    full = trace(folders, "moved")
    found = trace(folders, "moved", until_sure=True, progress=listener)
    assert full.verdict.kind == "undetermined"
    assert len(listener.looks) > 1
    assert listener.bytes[-1] == TOTAL
    assert found.to_json() == full.to_json()


@pytest.mark.usefixtures("early")
def test_it_reads_no_more_than_a_sample_that_is_given(folders):
    found = trace(folders, "moved", until_sure=True, sample="30%")
    assert found.sample.sure is False
    assert found.sample.asked == "30%"
    assert 0.25 < found.sample.share < 0.31


def test_a_copy_takes_enough_runs_to_exclude_a_difference(folders, monkeypatch):
    monkeypatch.setattr(sure, "FIRST", 200_000)
    assert trace(folders, "copy", until_sure=True, sample="30%").sample.sure is False
    monkeypatch.setattr(sure, "UNSEEN", 0.2)
    assert trace(folders, "copy", until_sure=True, sample="30%").sample.sure is True


@pytest.mark.usefixtures("early")
def test_a_verdict_that_hangs_on_a_group_of_runs_is_not_sure(folders, monkeypatch):
    judge = sure.judge
    calls = []

    def wavering(*arguments):
        verdict, recipe = judge(*arguments)
        calls.append(verdict.kind)
        # After three rounds come replicates of the third; this is the second of them.
        other = replace(verdict, kind="fine-tune") if len(calls) == 5 else verdict
        return other, recipe

    monkeypatch.setattr(sure, "judge", wavering)
    found = trace(folders, "blend", until_sure=True)
    assert calls == ["related", *["merge"] * 4]
    assert found.sample is None


def test_samples_double_up_to_a_quarter_or_to_what_is_given(monkeypatch):
    monkeypatch.setattr(sure, "FIRST", 10)
    assert SampleRequest(None, 0, True).steps(160, 1) == [10, 20, 40]
    assert SampleRequest(None, 0, True).steps(160, 15) == [20, 40]
    assert SampleRequest(None, 0, True).steps(30, 1) == []
    assert SampleRequest(Portion.parse(80), 0, True).steps(160, 1) == [10, 20, 40, 80]
    assert SampleRequest(Portion.parse(8), 0, True).steps(160, 1) == [8]
    assert SampleRequest(Portion.parse("5%")).steps(160, 1) == [8]
    assert (
        SampleRequest(Portion.parse(160)).steps(160, 1)
        == SampleRequest(Portion.parse("100%")).steps(160, 1)
        == []
    )


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_a_seed_that_is_none_is_refused(folders, seed):
    with pytest.raises(ValueError, match="a seed is a number from 0"):
        trace(folders, "blend", sample="1%", seed=seed)


def case_of(folders, budget):
    inputs = open_all(folders["blend"], folders["base"], [folders["parent"]], [])
    options = Options(2)
    alignment = pair(inputs, options).main.alignment
    findings = SampleEstimates(alignment, inputs.columns, options)
    relations = relations_of(findings)
    findings.sample = findings.small = SearchSample(alignment, options, budget)
    return TraceInputs(inputs, alignment, options, findings, [], [], relations)


def test_a_first_look_is_told_of_the_search_sample(folders):
    listener = Listener()
    with with_preview(case_of(folders, 1 << 16), listener) as watched:
        watched.start(100)
        watched.update(1)
    [preview] = listener.looks
    assert preview.kind == "merge"
    assert preview.level == "statistical"
    assert preview.share < 0.2
    assert preview.rounds == 1
    # What it reads again is no part of what the pass reads.
    assert listener.bytes == [100]


def test_there_is_no_first_look_at_what_is_read_whole_or_without_a_listener(folders):
    listener = Listener()
    with with_preview(case_of(folders, 1 << 30), listener) as watched:
        assert watched is listener
    assert listener.looks == []
    with with_preview(case_of(folders, 1 << 16), SILENT) as watched:
        assert watched is SILENT


def test_a_first_look_that_fails_ends_the_trace(folders, monkeypatch):
    def fail(*_):
        raise ValueError("no look")

    monkeypatch.setattr("parentage.pipeline.sequential._first_look", fail)
    with (
        pytest.raises(ValueError, match="no look"),
        with_preview(case_of(folders, 1 << 16), Listener()),
    ):
        pass


def test_a_first_look_changes_no_evidence(folders):
    listener = Listener()
    seen = trace(folders, "blend", recipes=True, progress=listener)
    assert seen.to_json() == trace(folders, "blend", recipes=True).to_json()


def family_arguments(*more):
    options = ("--base", family_path("base"), "--parent", family_path("parent"))
    return [str(each) for each in ("trace", family_path("child"), *options, *more)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("0%", "write more than 0%"),
        ("120%", "up to 100%"),
        ("much", "neither a size nor a share; write 5GB"),
        ("0", "a sample of 0 bytes is none"),
    ],
)
def test_a_sample_that_is_none_is_bad_usage(capsys, given, message):
    assert run(family_arguments("--sample", given)) == 2
    assert message in capsys.readouterr().err


def test_the_command_line_takes_samples(capsys):
    assert run(family_arguments("--sample", "40%", "--seed", "7", "--json")) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["parameters"]["sample"]["seed"] == 7
    assert document["verdict"]["level"] == "statistical"
    assert captured.err == ""
    assert run(family_arguments("--sample", "40%")) == 0
    assert "read a sample:" in capsys.readouterr().out


@pytest.mark.usefixtures("early")
def test_looks_go_to_stderr_and_not_if_quiet(folders, capsys):
    names = [str(folders[name]) for name in ("blend", "base", "parent")]
    arguments = [
        "trace",
        names[0],
        "-b",
        names[1],
        "-p",
        names[2],
        "--until-sure",
        "--json",
        "--seed",
        "1",
    ]
    assert run(arguments) == 0
    loud = capsys.readouterr()
    assert "read: merge (statistical" in loud.err
    assert run([*arguments, "--quiet"]) == 0
    quiet = capsys.readouterr()
    assert quiet.err == ""
    assert quiet.out == loud.out
    assert json.loads(quiet.out)["parameters"]["sample"]["sure"] is True
