"""Checkpoints by role, name and column."""

import shutil

import parentage
import pytest
from conftest import family_path
from parentage.checkpoint import Checkpoint, Columns, open_all
from parentage.support import PlanError


@pytest.mark.levels
def test_one_parent_offered_twice_is_refused(family):
    with pytest.raises(PlanError, match="given twice as a parent"):
        parentage.trace(
            family("child"), base=family("base"), parents=[family("parent"), family("parent")]
        )
    with pytest.raises(PlanError, match="given as the base and as a parent"):
        parentage.trace(family("child"), base=family("base"), parents=[family("base")])


def test_columns_are_the_base_then_parents_then_controls():
    columns = Columns("b", ("p", "q"), ("x",))
    assert columns.names == ("b", "p", "q", "x")
    assert columns.candidates == ("b", "p", "q")
    assert len(columns) == 4
    assert columns.indices == {"b": 0, "p": 1, "q": 2, "x": 3}
    assert [columns[name] for name in columns.names] == [0, 1, 2, 3]
    assert list(columns.parent_indices) == [1, 2]
    assert list(columns.control_indices) == [3]
    assert [columns.role(name) for name in columns.names] == ["base", "parent", "parent", "control"]


def test_a_base_alone_has_one_column():
    columns = Columns("b")
    assert (columns.names, columns.candidates, len(columns)) == (("b",), ("b",), 1)
    assert list(columns.parent_indices) == list(columns.control_indices) == []


def test_inputs_have_a_column_for_all_but_the_child(tmp_path, family):
    shutil.copytree(family("sibling"), tmp_path / "parent")
    inputs = open_all(family("child"), family("base"), [family("parent")], [tmp_path / "parent"])
    assert inputs.columns == Columns("base", ("parent",), ("parent#2",))
    assert [each.name for each in inputs.others] == list(inputs.columns.names)
    assert inputs.others == (inputs.base, *inputs.parents, *inputs.controls)


def test_no_more_checkpoints_than_columns(tmp_path, family):
    copies = [shutil.copytree(family("parent"), tmp_path / f"{i}") for i in range(9)]
    with pytest.raises(PlanError, match="9 parents and controls were given; 8 is the most"):
        open_all(family("child"), family("base"), copies[:5], copies[5:])


@pytest.mark.parametrize(
    "given",
    [family_path("parent"), str(family_path("parent")), Checkpoint.open(family_path("parent")),
     (path for path in [family_path("parent")]), {family_path("parent"): None}.keys()],
    ids=["path", "text", "checkpoint", "generator", "keys"],
)  # fmt: skip
def test_one_checkpoint_in_place_of_several_is_one(given):
    inputs = open_all(family_path("child"), family_path("base"), given, ())
    assert [each.name for each in inputs.parents] == ["parent"]
