import doctest
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
from importlib.resources import files

import parentage
import pytest
from parentage import _core

ALL = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(parentage.__path__, "parentage.")
    if not name.endswith(".__main__")
)
OF_TORCH = "parentage.stream.backends.torch."
MODULES = [
    pytest.param(name, marks=pytest.mark.torch) if name.startswith(OF_TORCH) else name
    for name in ALL
]


def test_importing_it_imports_nothing_heavy():
    code = "import parentage, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "parentage" in loaded
    assert not loaded & {"numpy", "polars", "rich", "click", "torch", "scipy", "safetensors"}


def test_a_trace_takes_no_torch():
    code = "import sys, parentage.pipeline, parentage.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "tensorflow", "jax", "transformers"} & set(done.stdout.split())


@pytest.mark.parametrize("name", parentage.__all__)
def test_what_is_public_is_there(name):
    assert getattr(parentage, name) is not None
    assert name in dir(parentage)


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"parentage.*nothing"):
        parentage.nothing  # noqa: B018


def test_versions_agree():
    assert parentage.__version__ == _core.__version__
    assert parentage.__version__ == importlib.metadata.version("parentage")


def test_errors_are_one_family():
    for name in ("CheckpointError", "PlanError", "ReadError", "WriteError"):
        assert issubclass(getattr(parentage, name), parentage.ParentageError)
    assert not issubclass(parentage.ParentageError, (ValueError, OSError))


@pytest.mark.parametrize("name", ["parentage", *MODULES])
def test_examples_in_docstrings_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0


def test_types_are_shipped():
    package = files("parentage")
    assert (package / "py.typed").is_file()
    assert (package / "_core.pyi").is_file()


def test_the_stub_lists_every_export():
    stub = (files("parentage") / "_core.pyi").read_text("utf-8")
    exported = {name for name in dir(_core) if not name.startswith("__") or name == "__version__"}
    declared = set(re.findall(r"^(?:class|def) (\w+)|^(\w+): ", stub, re.MULTILINE))
    declared = {name for pair in declared for name in pair if name}
    assert exported <= declared
    listed = set(re.findall(r'^    "(\w+)",$', stub, re.MULTILINE))
    assert listed <= exported


@pytest.mark.parametrize("name", ["Checkpoint", "Plan", "Statistics"])
def test_the_stub_lists_every_member(name):
    stub = (files("parentage") / "_core.pyi").read_text("utf-8")
    body = re.search(rf"^class {name}:.*?(?=^\S)", stub, re.MULTILINE | re.DOTALL)[0]
    declared = set(re.findall(r"def (\w+)\(", body))
    special = {member for member in declared if member.startswith("__")}
    members = set(dir(getattr(_core, name)))
    assert special <= members
    assert {member for member in members if not member.startswith("_")} == declared - special


def test_this_is_a_release_build():
    """Tests of speed and memory mean nothing for another."""
    assert _core.build_profile == "release"


def test_the_family_is_shipped():
    for name in ("base", "parent", "sibling", "child", "grandchild"):
        assert (files("parentage") / "family" / name / "model.safetensors").is_file()
