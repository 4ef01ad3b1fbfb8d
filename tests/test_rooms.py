"""A room is entered by what its stub says: all of it is there, and is of the room."""

import ast
import importlib
import inspect
import pkgutil
from importlib.resources import files

import parentage
import pytest

ROOMS = sorted(each.name for each in pkgutil.iter_modules(parentage.__path__) if each.ispkg)


def statements(package):
    """Return the statements of a package's stub that are not about its version."""
    stub = files(package) / "__init__.pyi"
    found = ast.parse(stub.read_text("utf-8")).body
    return [each for each in found if ast.unparse(each) != "__version__: str"]


def exported(package):
    """Return (name, module that it comes from) of everything in a package's stub."""
    return [
        (alias.asname, f"{package}.{statement.module}")
        for statement in statements(package)
        for alias in statement.names
    ]


EXPORTS = [
    (package, name, module)
    for package in ("parentage", *(f"parentage.{room}" for room in ROOMS))
    for name, module in exported(package)
]


def test_there_are_rooms():
    assert {"align", "checkpoint", "cli", "evidence", "verdict"} <= set(ROOMS)


@pytest.mark.parametrize("package", ["parentage", *(f"parentage.{room}" for room in ROOMS)])
def test_a_stub_exports_what_lies_below_it_and_nothing_else(package):
    for statement in statements(package):
        assert isinstance(statement, ast.ImportFrom), ast.unparse(statement)
        # One point, and a module: neither another room nor the room itself.
        assert (statement.level, bool(statement.module)) == (1, True), ast.unparse(statement)
        assert all(alias.name == alias.asname for alias in statement.names)
    names = [name for name, _ in exported(package)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("package", ["parentage", *(f"parentage.{room}" for room in ROOMS)])
def test_a_room_lists_what_its_stub_says(package):
    room = importlib.import_module(package)
    assert sorted(room.__all__) == sorted(name for name, _ in exported(package))


@pytest.mark.parametrize(("package", "name", "module"), EXPORTS)
def test_what_a_stub_says_can_be_imported(package, name, module):
    exec(f"from {package} import {name}", {})
    value = getattr(importlib.import_module(package), name)
    assert value is getattr(importlib.import_module(module), name)
    of_a_room = (inspect.isclass(value) or inspect.isfunction(value)) and package != "parentage"
    if of_a_room and value.__module__.startswith(tuple(f"parentage.{room}." for room in ROOMS)):
        assert value.__module__.startswith(f"{package}.")


@pytest.mark.parametrize("package", ["parentage", *(f"parentage.{room}" for room in ROOMS)])
def test_no_export_has_the_name_of_a_file_beside_it(package):
    """Once the file is imported, its name in the room is the file, and the export is gone."""
    beside = {each.name for each in pkgutil.iter_modules(importlib.import_module(package).__path__)}
    assert not beside & {name for name, _ in exported(package)}
