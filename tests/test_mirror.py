"""Tests mirror the package: what tests ``room/module.py`` is ``tests/room/test_module.py``."""

import ast
from importlib.resources import files
from pathlib import Path

import parentage
import pytest

PACKAGE = Path(str(files(parentage)))
TESTS = Path(__file__).parent

OF_SEVERAL_MODULES = {
    "align/test_families.py": "every family of models, through all layout rules at once",
    "bench/test_attacks.py": "the bench of that name, which is not part of the package",
    "cli/test_commands.py": "every command and the group: files, answers, exit status",
    "report/test_browser.py": "the page as a whole, in a browser",
    "evidence/test_pickle.py": "traces, and all that they hold, travel between processes",
}
"""Tests in rooms that are of no one module, and what they are about."""


def is_public(module):
    """Whether a module defines a function or a class that others may use."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    body = ast.parse(module.read_text("utf-8")).body
    return any(isinstance(each, kinds) and not each.name.startswith("_") for each in body)


def file_of_tests(module):
    return TESTS / module.parent.relative_to(PACKAGE) / f"test_{module.name}"


TESTS_IN_ROOMS = [
    path.relative_to(TESTS).as_posix()
    for path in sorted(TESTS.glob("*/**/test_*.py"))
    # What is asked of the core alone is of no module in Python.
    if path.relative_to(TESTS).parts[0] != "core"
]
MODULES = [
    path.relative_to(PACKAGE).as_posix()
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.name.startswith("__") and is_public(path)
]


@pytest.mark.parametrize("path", TESTS_IN_ROOMS)
def test_what_lies_in_a_room_tests_a_module_of_it(path):
    tested = (PACKAGE / path).with_name(Path(path).name.removeprefix("test_"))
    assert tested.is_file() != (path in OF_SEVERAL_MODULES)


@pytest.mark.parametrize("path", MODULES)
def test_a_module_has_a_file_of_tests(path):
    written = file_of_tests(PACKAGE / path)
    assert written.is_file(), f"write {written}"


def test_the_list_names_what_is_there():
    assert set(TESTS_IN_ROOMS) >= set(OF_SEVERAL_MODULES)
