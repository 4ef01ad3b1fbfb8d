"""What a trace says of itself in a line."""

import shutil

import parentage
from common.documents import HOSTILE
from parentage.bundle import STATEMENTS
from parentage.checkpoint import Checkpoint


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


def test_a_name_given_by_hand_is_the_one_in_reports(family):
    found = parentage.trace(
        Checkpoint.open(family("child"), name="Rio"),
        base=Checkpoint.open(family("base"), name="Qwen"),
        parents=[Checkpoint.open(family("parent"), name="Nex")],
    )
    assert {"ols:Nex", "bit_equal:Qwen"} <= set(found.wide().columns)
    assert found.evidence["inputs"]["child"]["name"] == "Rio"
    assert "Nex" in found.verdict.text


def test_statements_of_an_earlier_trace_are_none_of_a_later_one(tmp_path, family):
    given = {"base": family("base"), "parents": [family("parent")], "recipes": False}
    parentage.trace(family("child"), **given, digest="sha256", output=tmp_path)
    assert (tmp_path / STATEMENTS).exists()
    parentage.trace(family("child"), **given, output=tmp_path)
    assert not (tmp_path / STATEMENTS).exists()
