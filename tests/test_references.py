"""What docstrings refer to is there."""

import importlib
import re
from importlib.resources import files
from pathlib import Path

import pytest

PACKAGE = Path(str(files("parentage")))
REFERENCE = re.compile(r":(?:attr|class|data|func|meth|mod):`([\w.]+)`")


def references():
    """Return (file, what it refers to), of everything that docstrings name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in sorted(set(REFERENCE.findall(path.read_text("utf-8")))):
            yield path.relative_to(PACKAGE).as_posix(), name


def resolve(name, module):
    """Return what a dotted name stands for: of the package, or of the module that names it."""
    parts = name.split(".")
    if parts[0] != "parentage":
        value, rest = importlib.import_module(module), parts
        if not hasattr(value, parts[0]):
            # A member of a class of this file.
            classes = [each for each in vars(value).values() if isinstance(each, type)]
            value = next(each for each in classes if member(each, parts[0]))
    else:
        for length in range(len(parts), 0, -1):
            try:
                value, rest = importlib.import_module(".".join(parts[:length])), parts[length:]
                break
            except ModuleNotFoundError:
                continue
    for part in rest:
        value = getattr(value, part, None) or member(value, part)
    return value


def member(kind, name):
    """Return whether a class has a member, fields without a value included."""
    return hasattr(kind, name) or name in getattr(kind, "__annotations__", {})


@pytest.mark.parametrize(("file", "name"), list(references()))
def test_it_is_there(file, name):
    module = "parentage." + file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    module = module.removesuffix(".__init__")
    assert resolve(name, module)
