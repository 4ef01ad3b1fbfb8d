"""Relatives are found in a library, and what a trace would be given is at hand as sketches."""

import pytest
from conftest import family_path
from parentage.checkpoint import Checkpoint
from parentage.library import Library
from parentage.relatives import find
from parentage.stream import Options

OPTIONS = Options(1, None, "pread")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    found = Library(tmp_path_factory.mktemp("library"))
    found.add([family_path(name) for name in ("base", "parent", "sibling")], size=1 << 18)
    return found


def test_candidates_are_sketches_in_roles_and_their_names_are_in_the_command(library, tmp_path):
    opened = Checkpoint.open(family_path("child"))
    found, candidates = find(opened, library, tmp_path, OPTIONS)
    offered = [candidates.base, *candidates.parents, *candidates.controls]
    assert {each.name for each in offered} <= set(library.names)
    assert {candidates.base.name, *(each.name for each in candidates.parents)} >= {"base", "parent"}
    assert found.command.startswith(f"parentage trace {family_path('child')} --base ")
    assert candidates.child.name == "child"
    assert found.trace is None


def test_an_order_is_drawn_where_a_test_decided_it(library, tmp_path):
    opened = Checkpoint.open(family_path("child"))
    found, candidates = find(opened, library, tmp_path, OPTIONS)
    assert found.tree["order"].null_count() == len(found.tree)
    near = found.tree["second"][0]
    assert candidates.tree({near: True})["order"][0] == f"{near} first"
    assert candidates.tree({near: False})["order"][0] == "child first"


def test_a_sketch_of_the_child_itself_is_another_place_in_the_tree(library, tmp_path):
    opened = Checkpoint.open(family_path("sibling"))
    found, _ = find(opened, library, tmp_path, OPTIONS)
    assert found.tree["first"][0] == "sibling (the child)"
    assert found.tree["second"][0] == "sibling"
    assert '"sibling (the child)"]:::child' in found.mermaid()


def test_without_relatives_nothing_is_offered(library, tmp_path):
    opened = Checkpoint.open(family_path("child"))
    found, candidates = find(opened, library, tmp_path, OPTIONS, without=library.names)
    assert (found.searched, candidates, found.command) == (0, None, None)
