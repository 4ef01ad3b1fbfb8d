import json
import os
import resource
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import parentage
import polars as pl
import pytest
from conftest import BF16, write_checkpoint
from parentage.checkpoint import COMPONENTS, Checkpoint
from parentage.support import WriteError
from parentage.verdict import KINDS, Thresholds


@pytest.fixture(scope="module")
def merge(family):
    return parentage.trace(
        family("child"),
        base=family("base"),
        parents=[family("parent")],
        controls=[family("sibling")],
    )


def strict(text):
    """Parse JSON that holds no NaN and no infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_document_has_the_keys_of_the_contract(merge):
    document = strict(merge.to_json())
    assert list(document) == [
        *("schema", "tool", "inputs", "parameters", "coverage"),
        *("model", "components", "recipe", "verdict"),
    ]
    assert document["schema"] == "parentage.evidence/2"
    assert set(document["tool"]) == {"name", "version", "core", "arithmetic"}
    assert document["tool"]["name"] == "parentage"
    recipe = document["recipe"]
    assert recipe["method"] == "linear"
    assert {each["name"]: each["weight"] for each in recipe["parents"]} == {
        "parent": 0.6,
        "base": 0.4,
    }
    assert recipe["mismatches"] == recipe["unexplained"] == 0
    assert recipe["exact_share"] == 1.0
    assert set(document["verdict"]) == {"kind", "level", "rule", "text", "numbers"}
    assert document["verdict"]["kind"] in KINDS


def test_the_document_describes_every_input(merge, family):
    inputs = strict(merge.to_json())["inputs"]
    assert list(inputs) == ["child", "base", "parents", "controls"]
    described = [inputs["child"], inputs["base"], *inputs["parents"], *inputs["controls"]]
    assert [each["name"] for each in described] == ["child", "base", "parent", "sibling"]
    for each in described:
        assert set(each) == {"name", "revision", "files", "tensors", "elements"}
        (file,) = each["files"]
        assert set(file) == {"name", "bytes", "sha256"}
        path = family(each["name"]) / file["name"]
        assert file["bytes"] == path.stat().st_size
        assert each["tensors"] == 23
        assert each["elements"] == 294_488


def test_the_document_tells_what_was_compared(merge):
    coverage = strict(merge.to_json())["coverage"]
    assert coverage == {
        "slices": 23,
        "elements": 294_488,
        "elements_read": 294_488,
        "unaligned": [],
    }


SUMMARY = {"n", "weights", "r2", "cosine", "z_naive", "log10_p", "condition"}


def test_the_model_and_its_components_are_summed_up_alike(merge):
    document = strict(merge.to_json())
    assert set(document["components"]) <= set(COMPONENTS)
    assert set(document["components"]) == {"attention", "mlp", "norm"}
    for summary in (document["model"], *document["components"].values()):
        assert set(summary) >= SUMMARY
        assert set(summary) == set(document["model"])
        assert set(summary["weights"]) == {"parent"}
        assert set(summary["weights"]["parent"]) >= {"ols", "standard_error", "cells"}
        assert set(summary["cosine"]) == set(summary["log10_p"]) == {"parent", "sibling"}
    parts = [summary["n"] for summary in document["components"].values()]
    assert sum(parts) == document["model"]["n"] == 294_488


def test_the_document_holds_every_number_a_verdict_depends_on(merge):
    parameters = strict(merge.to_json())["parameters"]
    assert parameters["thresholds"] == {
        name: getattr(Thresholds(), name) for name in Thresholds.__slots__
    }
    assert parameters["blocks"] == 16


def test_infinities_and_nan_are_no_numbers_of_the_document(tmp_path, family, weights):
    copy = write_checkpoint(tmp_path / "copy", weights["parent"])
    found = parentage.trace(family("child"), base=family("base"), parents=[family("parent"), copy])
    document = strict(found.to_json())
    assert document["model"]["weights"]["copy"]["ols"] is None
    assert float(document["verdict"]["numbers"]["condition"]) > 1e6
    nothing = {name: np.full_like(array, np.nan) for name, array in weights["child"].items()}
    empty = write_checkpoint(tmp_path / "empty", nothing)
    found = parentage.trace(empty, base=family("base"), parents=[family("parent")])
    assert strict(found.to_json())["model"]["r2"] is None
    one = write_checkpoint(tmp_path / "one", {"model.norm.weight": np.ones((), BF16)})
    two = write_checkpoint(tmp_path / "two", {"model.norm.weight": np.ones((), BF16)})
    strict(parentage.trace(one, base=two).to_json())


@pytest.fixture
def copies(tmp_path, family):
    """The family at another place, and later."""
    for name in ("base", "parent", "child", "sibling"):
        shutil.copytree(family(name), tmp_path / "elsewhere" / name)
    return tmp_path / "elsewhere"


def test_two_runs_write_the_same_bytes(tmp_path, merge, copies):
    merge.save(tmp_path / "one")
    again = parentage.trace(
        copies / "child",
        base=copies / "base",
        parents=[copies / "parent"],
        controls=[copies / "sibling"],
        threads=3,
        tile_bytes=4096,
        io="pread",
        level="scalar",
    )
    again.save(tmp_path / "two")
    for name in ("evidence.json", "slices.parquet"):
        one, two = (tmp_path / run / name for run in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_no_path_and_no_time_is_in_the_evidence(tmp_path, copies):
    found = parentage.trace(copies / "child", base=copies / "base", parents=[copies / "parent"])
    found.save(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        stored = path.read_bytes()
        for part in (str(tmp_path), str(copies), "elsewhere", os.uname().nodename):
            assert part.encode() not in stored
    keys = set()

    def collect(value):
        if isinstance(value, dict):
            keys.update(value)
            for each in value.values():
                collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)

    collect(found.evidence)
    assert not {key for key in keys if any(word in key for word in ("time", "second_", "date"))}


CONTRACT = {
    *("slice", "component", "layer", "expert", "shape", "dtype", "n", "n_moved"),
    *("checkpoint", "role", "bit_equal", "ols", "se", "cells", "cells_half_width"),
    *("r2", "cosine", "residual_rms", "rounding_rms", "z_naive", "log10_p", "exact_share"),
    *("nan", "inf"),
}


def test_slices_have_the_columns_of_the_contract(merge, tmp_path):
    merge.save(tmp_path)
    table = pl.read_parquet(tmp_path / "slices.parquet")
    assert set(table.columns) >= CONTRACT
    assert table.equals(merge.slices)
    assert table.height == 23 * 3
    assert table["n"].sum() == 294_488 * 3
    assert table["checkpoint"].to_list()[:3] == ["base", "parent", "sibling"]
    assert table["role"].to_list()[:3] == ["base", "parent", "control"]
    assert table.schema["shape"] == pl.List(pl.Int64)
    assert table.schema["layer"] == pl.Int64
    name = "model.layers.1.self_attn.q_proj.weight"
    row = table.filter(slice=name, checkpoint="parent").row(0, named=True)
    assert (row["component"], row["layer"], row["expert"]) == ("attention", 1, None)
    assert (row["shape"], row["dtype"], row["n"]) == ([128, 120], "BF16", 15_360)
    assert row["ols"] == pytest.approx(0.6, abs=0.01)


def test_slices_are_in_natural_order(tmp_path):
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in (10, 9, 2)]
    for each in ("base", "child"):
        write_checkpoint(tmp_path / each, {name: np.ones((2, 2), BF16) for name in names})
    found = parentage.trace(tmp_path / "child", base=tmp_path / "base")
    assert found.slices["layer"].to_list() == [2, 9, 10]
    assert found.layers["layer"].to_list() == [2, 9, 10]


def test_what_was_not_compared_is_listed_with_the_reason(tmp_path, family, weights):
    child = dict(weights["child"])
    del child["model.norm.weight"]
    child["model.extra.weight"] = np.ones(5, BF16)
    child["model.flags"] = np.ones(3, bool)
    made = write_checkpoint(tmp_path / "made", child)
    found = parentage.trace(made, base=family("base"), parents=[family("parent")])
    rows = {(each["checkpoint"], each["tensor"]): each for each in found.unaligned.to_dicts()}
    assert {key: each["reason"] for key, each in rows.items()} == {
        ("made", "model.extra.weight"): "not in base; not in parent",
        ("made", "model.flags"): "dtype BOOL has no arithmetic",
        ("base", "model.norm.weight"): "not in the child made",
        ("parent", "model.norm.weight"): "not in the child made",
    }
    assert rows["made", "model.extra.weight"]["elements"] == 5
    assert (found.elements, found.elements_total) == (294_488 - 120, 294_488 - 120 + 8)
    listed = strict(found.to_json())["coverage"]["unaligned"]
    assert listed == [
        {key: each[key] for key in ("checkpoint", "tensor", "reason")} for each in rows.values()
    ]
    assert "not compared" in found.verdict.text


def test_counts_of_slices_are_counts_of_elements(tmp_path, weights, family):
    child = {name: array.copy() for name, array in weights["parent"].items()}
    name = "model.layers.0.self_attn.v_proj.weight"
    child[name][0, :3] = [np.nan, np.inf, -np.inf]
    made = write_checkpoint(tmp_path / "made", child)
    found = parentage.trace(made, base=family("base"), parents=[family("parent")])
    row = found.slices.filter(slice=name, checkpoint="parent").row(0, named=True)
    assert (row["nan"], row["inf"], row["excluded"]) == (1, 2, 3)
    assert row["bit_equal"] == row["n"] - 3
    assert row["n_moved"] == np.sum(
        weights["base"][name].view(np.uint16) != weights["parent"][name].view(np.uint16)
    )


def test_saving_makes_the_folder_and_replaces_what_is_there(tmp_path, merge):
    folder = tmp_path / "a" / "b"
    assert merge.save(folder) == folder
    (folder / "evidence.json").write_text("old")
    (folder / "notes.txt").write_text("kept")
    merge.save(folder)
    assert strict((folder / "evidence.json").read_text("utf-8")) == strict(merge.to_json())
    assert sorted(path.name for path in folder.iterdir()) == [
        *("evidence.json", "notes.txt", "slices.parquet")
    ]


def test_a_file_in_the_way_of_the_folder_is_an_error(tmp_path, merge):
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WriteError, match="write evidence: "):
            merge.save(folder)
    assert (tmp_path / "file").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["slices.parquet", "evidence.json"])
def test_a_folder_in_the_way_of_a_file_leaves_nothing_half_written(tmp_path, merge, name):
    (tmp_path / name / "kept").mkdir(parents=True)
    with pytest.raises(WriteError, match="write evidence: "):
        merge.save(tmp_path)
    for path in tmp_path.iterdir():
        # What there is, is whole.
        if path.name == name:
            assert [each.name for each in path.iterdir()] == ["kept"]
        elif path.suffix == ".json":
            strict(path.read_text("utf-8"))
        else:
            assert pl.read_parquet(path).equals(merge.slices)
    assert not list(tmp_path.glob(".writing-*"))


@pytest.mark.usefixtures("permissions_hold")
def test_a_folder_without_permission_is_an_error(tmp_path, merge):
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="write evidence: Permission denied"):
        merge.save(tmp_path / "out")
    tmp_path.chmod(0o700)


SAVE_WITH_LITTLE_SPACE = """
import resource, signal, sys
import parentage
family, folder = sys.argv[1:]
found = parentage.trace(f"{family}/child", base=f"{family}/base", parents=[f"{family}/parent"])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    found.save(folder)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory, family):
    """What saving raised where no file could grow beyond 1000 bytes, and what it left."""
    assert hasattr(resource, "RLIMIT_FSIZE")
    folder = tmp_path_factory.mktemp("full")
    done = subprocess.run(
        [sys.executable, "-c", SAVE_WITH_LITTLE_SPACE, family("base").parent, folder],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip(), folder


def test_a_full_disk_leaves_nothing_half_written(full_disk):
    error, folder = full_disk
    assert error
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_an_error_of_writing(full_disk):
    assert full_disk[0] == "WriteError"


class Tags(HTMLParser):
    """Collects the tags of a document."""

    def __init__(self):
        super().__init__()
        self.tags = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not attrs


HOSTILE = "<script>alert(1)<"


@pytest.fixture
def hostile(tmp_path):
    """Markup in the names of checkpoints and tensors."""
    random = np.random.default_rng(0)
    tensors = {"model.layers.0.<script>.weight": random.normal(0, 1, (40, 50))}
    folders = []
    for i, name in enumerate(["<b>base", "<img src=x onerror=alert(1)>", HOSTILE]):
        moved = {key: (x + i * random.normal(0, 0.1, x.shape)) for key, x in tensors.items()}
        rounded = {key: x.astype(BF16) for key, x in moved.items()}
        if i == 2:
            rounded["</td><script>extra"] = np.ones(2, BF16)
        folders.append(write_checkpoint(tmp_path / name, rounded))
    return parentage.trace(folders[2], base=folders[0], parents=[folders[1]])


def test_names_can_put_no_markup_into_a_notebook(hostile):
    page = hostile._repr_html_()
    parser = Tags()
    parser.feed(page)
    assert parser.tags <= {"p", "b", "table", "thead", "tbody", "tr", "th", "td", "div", "span"}
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_the_text_form_is_one_line_that_says_what_was_found(merge, hostile):
    assert repr(merge).startswith("<Trace of child: merge (exact), parent=0.60")
    assert "23 slices, 294,488 elements" in repr(merge)
    assert HOSTILE in repr(hostile)
    assert "\n" not in repr(hostile)


def test_names_can_not_act_on_a_terminal(tmp_path, family):
    shutil.copytree(family("child"), tmp_path / "a\x1b[2J\u202eb")
    found = parentage.trace(
        tmp_path / "a\x1b[2J\u202eb", base=family("base"), parents=[family("parent")]
    )
    assert repr(found).isprintable()


def test_no_two_columns_are_called_alike(tmp_path, weights, family):
    for name, share in (("b", "parent"), ("bias_b", "sibling")):
        write_checkpoint(tmp_path / name, weights[share])
    found = parentage.trace(
        family("child"), base=family("base"), parents=[tmp_path / "b", tmp_path / "bias_b"]
    )
    plain = parentage.trace(
        family("child"), base=family("base"), parents=[family("parent"), family("sibling")]
    )
    assert len(found.model.columns) == len(plain.model.columns)


def test_a_name_that_is_no_text_can_be_saved(tmp_path, family):
    parent = Path(os.fsdecode(os.fsencode(tmp_path) + b"/par\xffent"))
    try:
        shutil.copytree(family("parent"), parent)
    except OSError:
        # This file system takes no such name, but a person may give it.
        parent = Checkpoint.open(family("parent"), name=parent.name)
    found = parentage.trace(family("child"), base=family("base"), parents=[parent])
    found.save(tmp_path / "out")
    strict((tmp_path / "out" / "evidence.json").read_text("utf-8"))


def test_a_name_given_by_hand_is_the_one_in_reports(family):
    found = parentage.trace(
        Checkpoint.open(family("child"), name="Rio"),
        base=Checkpoint.open(family("base"), name="Qwen"),
        parents=[Checkpoint.open(family("parent"), name="Nex")],
    )
    assert {"ols:Nex", "bit_equal:Qwen"} <= set(found.wide().columns)
    assert found.evidence["inputs"]["child"]["name"] == "Rio"
    assert "Nex" in found.verdict.text
