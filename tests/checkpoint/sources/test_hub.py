"""Checkpoints on a hub, as huggingface_hub finds them; and those in its cache."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import parentage
import pytest
import yaml
from common.hub import GOOD_TOKEN, Repository, at_random
from common.networks import family_on_a_hub, impatient, quick
from common.processes import COMMAND
from conftest import BF16, family_path, write_checkpoint
from huggingface_hub import constants
from parentage.checkpoint import Checkpoint
from parentage.checkpoint.sources.hub import serves
from parentage.cli import run
from parentage.support import CheckpointError, ReadError


@pytest.fixture
def double(monkeypatch, tmp_path):
    with family_on_a_hub(monkeypatch, tmp_path) as double:
        yield double


def opened(name, network=None, called=None):
    return Checkpoint.open(name, called, network or quick())


def family(network=None, names=("child", "base", "parent")):
    """Open checkpoints of the family, under the names that they have on disk."""
    network = network or quick()
    return [opened(f"hf://org/{name}", network, name) for name in names]


def traced(checkpoints, output, **options):
    child, base, *parents = checkpoints
    return parentage.trace(child, base=base, parents=parents, output=output, **options)


def slices(folder):
    return (folder / "slices.parquet").read_bytes()


@pytest.fixture(scope="module")
def from_disk(tmp_path_factory):
    """The slices of a full trace of the family from disk."""
    folder = tmp_path_factory.mktemp("disk")
    traced([family_path(name) for name in ("child", "base", "parent")], folder)
    return slices(folder)


def test_a_full_trace_has_the_slices_of_one_from_disk_and_fetches_each_byte_once(
    double, tmp_path, from_disk
):
    traced(family(), tmp_path / "out", full=True)
    assert slices(tmp_path / "out") == from_disk
    least = sum(
        (family_path(n) / "model.safetensors").stat().st_size for n in ("child", "base", "parent")
    )
    assert double.counts.bytes["data"] == least
    assert double.counts.requests["resolve"] == 3
    told = json.loads((tmp_path / "out" / "evidence.json").read_text())
    child = told["inputs"]["child"]
    assert child["source"] == "hf://org/child"
    assert child["revision"] == double.repositories["org/child"].revisions["main"]
    (file,) = child["files"]
    assert file["sha256"] is None
    assert file["published_sha256"] == double.sha256(family_path("child") / "model.safetensors")
    assert "SECRET" not in json.dumps(told)


def test_a_verdict_is_had_without_being_told_to_read_everything(double, tmp_path):
    found = traced(family(), tmp_path)
    assert found.verdict.kind == "merge"
    assert double.counts.total < 40


def test_a_digest_of_everything_is_what_was_published(double, tmp_path):
    traced(family(), tmp_path, digest="sha256")
    told = json.loads((tmp_path / "evidence.json").read_text())
    (file,) = told["inputs"]["base"]["files"]
    assert file["sha256"] == file["published_sha256"]
    assert double.counts.bytes["data"] < 4_000_000


FAULTS = {
    "throttled": ("status:429 Retry-After=0.02",),
    "broken": ("status:500", "status:503", "reset", "hang-up", "short", "broken", "part"),
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("seed", range(2))
def test_a_fifth_of_all_requests_may_fail(double, tmp_path, from_disk, faults, seed):
    double.fault = at_random(seed, 0.2, faults, ("api", "resolve", "data"))
    traced(family(), tmp_path, full=True)
    assert slices(tmp_path) == from_disk


def test_signed_addresses_expire_while_they_are_used(double, tmp_path, from_disk):
    def expire(asked):
        if asked.kind == "data" and asked.number % 7 == 6:
            return "status:403"
        return None

    double.fault = expire
    traced(family(), tmp_path, full=True)
    assert slices(tmp_path) == from_disk


def test_a_file_that_changes_is_an_error_with_tensor_and_offset(double, tmp_path):
    checkpoints = family()
    double.fault = lambda asked: "changed" if asked.kind == "data" else None
    said = r"hf://org/\w+@[0-9a-f]{40}/model.safetensors: .*at byte \d+: the file changed"
    with pytest.raises(ReadError, match=said):
        traced(checkpoints, tmp_path, full=True)


def test_what_was_kept_is_not_fetched_again(double, tmp_path, from_disk):
    traced(family(quick(cache=tmp_path / "cache")), tmp_path / "one", full=True)
    before = double.counts.bytes["data"]
    network = quick(cache=tmp_path / "cache")
    traced(family(network), tmp_path / "two", full=True)
    assert slices(tmp_path / "two") == from_disk
    assert double.counts.bytes["data"] == before
    assert network.traffic.kept > 0


def test_an_interrupted_trace_goes_on_after_a_dead_network(double, tmp_path, from_disk):
    class Die(parentage.Progress):
        def update(self, done):
            if done > 0:
                raise RuntimeError("dead")

    with pytest.raises(RuntimeError):
        traced(family(), tmp_path, full=True, progress=Die())
    before = double.counts.total
    traced(family(), tmp_path, resume=True)
    assert slices(tmp_path) == from_disk
    assert double.counts.total > before


def test_no_more_is_received_than_was_promised(double, tmp_path):
    with pytest.raises(ReadError, match="more than the 1,000,000 that"):
        traced(family(quick(max_bytes=1_000_000)), tmp_path, full=True)
    assert double.counts.bytes["data"] + double.counts.bytes["other"] <= 1_000_000


# Names.


def test_a_revision_is_its_commit(double, tmp_path):
    tensors = {"w": np.ones((8, 8), dtype=BF16)}
    other = write_checkpoint(tmp_path / "old", tensors)
    repository = double.repositories["org/child"]
    repository.folders["b" * 40] = other
    repository.revisions |= {"v1": "b" * 40, "refs/pr/3": "b" * 40}
    for revision in ("v1", "b" * 40):
        found = opened(f"hf://org/child@{revision}")
        assert list(found.tensors) == ["w"]
        assert found.origin.revision == "b" * 40
    assert len(opened("hf://org/child").tensors) > 1


def test_folders_shards_files_and_pages_of_a_listing(double, tmp_path):
    tensors = {f"t{i}": np.full((8, 8), i, dtype=BF16) for i in range(9)}
    folder = tmp_path / "repository"
    write_checkpoint(folder / "part", tensors, shards=3)
    (folder / "part" / "config.json").write_text('{"num_hidden_layers": 3}')
    double.repositories["org/parts"] = Repository.of(folder)
    double.page = 2
    found = opened("hf://org/parts/part")
    assert (found.name, len(found.shards), len(found.tensors)) == ("org/parts/part", 3, 9)
    assert found.promised_layers == 3
    assert len(opened("hf://org/parts/part/model-00001-of-00003.safetensors").tensors) == 3
    assert len(opened("hf://org/parts/part/model.safetensors.index.json").tensors) == 9
    with pytest.raises(CheckpointError, match=r"no \.safetensors file"):
        opened("hf://org/parts")
    (folder / "part" / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="is not there at commit"):
        opened("hf://org/parts/part")


def test_a_plain_name_is_looked_for_here_first_and_what_is_done_is_said(
    double, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    said = []
    found = opened("org/child", quick(note=said.append))
    assert found.is_remote
    assert said == ["org/child: there is no such file or folder here; read as hf://org/child"]
    shutil.copytree(family_path("base"), tmp_path / "org" / "child")
    before = double.counts.total
    assert not opened("org/child").is_remote
    assert double.counts.total == before


def test_a_recipe_names_what_is_on_a_hub(double, tmp_path, capsys):
    models = [
        {"model": f"org/{name}", "parameters": {"weight": weight}}
        for name, weight in (("base", 0.4), ("parent", 0.6))
    ]
    recipe = {"merge_method": "linear", "dtype": "bfloat16", "models": models}
    (tmp_path / "recipe.yml").write_text(yaml.safe_dump(recipe))
    arguments = ["replay", str(tmp_path / "recipe.yml"), "--against", "hf://org/child", "--json"]
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["replay"]
    assert "read as hf://org/base" in err
    assert "requests" in err
    assert double.counts.requests["data"] > 0


# Access.


def test_a_token_opens_what_is_private_and_reaches_nobody_else(double, monkeypatch, tmp_path):
    double.repositories["org/secret"] = Repository.of(family_path("child"), private=True)
    with pytest.raises(CheckpointError, match="no such repository, or shows it to others alone"):
        opened("hf://org/secret")
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    double.tokens.clear()
    found = opened("hf://org/secret")
    assert found.core.fetchers()[0].bytes_of(0, 10)
    shown = [token for token in double.tokens if token]
    assert set(shown) == {f"Bearer {GOOD_TOKEN}"}
    # The server of the data was shown none.
    assert double.tokens.count(None) == double.counts.requests["data"]
    trace = traced([found, *family(names=("base", "parent"))], tmp_path / "out")
    for text in (repr(trace), pickle.dumps(trace).decode("latin-1"), trace.to_json()):
        assert GOOD_TOKEN not in text
        assert "SECRET" not in text


@pytest.mark.parametrize(
    ("name", "token", "said"),
    [
        ("hf://org/gated", None, "access is granted on the repository's page alone"),
        ("hf://org/child", "hf_wrong", "does not accept the token"),
        ("hf://org/none", None, "no such repository"),
        ("hf://org/child@nothing", None, "no such revision"),
        ("hf://org/child/nothing", None, "no such folder or file"),
        ("hf://org/child/nothing.safetensors", None, "no such file at commit"),
    ],
)
def test_what_can_not_be_had_is_said(double, monkeypatch, name, token, said):
    double.repositories["org/gated"] = Repository.of(family_path("child"), gated=True)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises((CheckpointError, ReadError), match=said) as raised:
        opened(name)
    assert str(raised.value).startswith(name.split("@")[0].split("/nothing")[0])
    assert "hf_wrong" not in str(raised.value)


@pytest.mark.parametrize(
    ("fault", "said"),
    [("html", "no hub, or answers with something else"), ("hang-up", "is there a network")],
)
def test_what_answers_is_no_hub(double, fault, said):
    double.fault = lambda _asked: fault
    with pytest.raises(ReadError, match=said):
        opened("hf://org/child", impatient(2))


# The cache.


def cached(double, name, revision="main"):
    """Put a repository into the cache, as a download does."""
    repository = double.repositories[f"org/{name}"]
    commit = repository.revisions[revision]
    entry = Path(constants.HF_HUB_CACHE) / f"models--org--{name}"
    file = repository.folders[commit] / "model.safetensors"
    blob = entry / "blobs" / double.sha256(file)
    link = entry / "snapshots" / commit / file.name
    for each in (blob.parent, link.parent, entry / "refs"):
        each.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, blob)
    link.symlink_to(f"../../blobs/{blob.name}")
    (entry / "refs" / revision).write_text(commit)
    return commit, link


def test_what_is_in_the_cache_is_used_in_place_without_a_request(double, monkeypatch):
    commit, _ = cached(double, "child")
    said = []
    for name in ("hf://org/child", f"hf://org/child@{commit}"):
        found = opened(name, quick(note=said.append))
        assert not found.is_remote
        assert (found.name, found.origin.revision) == ("org/child", commit)
        expected = double.sha256(family_path("child") / "model.safetensors")
        assert found.origin.published == {"model.safetensors": expected}
    assert double.counts.total == 0
    assert len(said) == 1
    assert commit[:12] in said[0]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert opened("hf://org/child").origin.revision == commit
    with pytest.raises(ReadError, match="HF_HUB_OFFLINE forbids"):
        opened("hf://org/base")
    assert double.counts.total == 0


def test_a_download_that_is_not_complete_is_not_used(double):
    _, file = cached(double, "child")
    file.unlink()
    assert opened("hf://org/child").is_remote


# Other processes.


def test_a_checkpoint_travels_and_is_read_where_it_arrives(double, tmp_path, from_disk):
    travelled = pickle.loads(pickle.dumps(family()))
    traced(travelled, tmp_path, full=True)
    assert slices(tmp_path) == from_disk
    assert double.counts.total > 0


@pytest.mark.parametrize("arguments", [["inspect", "hf://org/child", "--json"]])
def test_the_environment_says_which_hub_it_is(double, tmp_path, arguments):
    environment = {
        **os.environ,
        "HF_ENDPOINT": double.endpoint,
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, env=environment, check=True, timeout=60
    )
    told = json.loads(done.stdout)
    assert told["source"] == "hf://org/child"
    assert told["shards"][0]["published_sha256"]


def test_names_of_a_hub_are_served_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert serves("hf://a/b")
    assert serves("a/b")
    assert not serves("s3://a/b")
