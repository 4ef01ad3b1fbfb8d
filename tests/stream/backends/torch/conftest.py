"""The parts of the backend, imported when a test that needs torch runs."""

import importlib

import pytest


def part(name):
    """Return a fixture that is a module of the backend."""

    @pytest.fixture(scope="module", name=name)
    def module():
        return importlib.import_module(f"parentage.stream.backends.torch.{name}")

    return module


exact, floats, selftest, sums, cells, replays, sampled, source, engine, statistics = map(
    part,
    ("exact", "floats", "selftest", "sums", "cells", "replays", "sampled", "source", "engine",
     "statistics"),
)  # fmt: skip


@pytest.fixture(scope="module")
def torch():
    return importlib.import_module("torch")


@pytest.fixture(scope="module", params=["fused", "emulated"])
def backend(request, exact):
    """A CPU that has fused multiply-adds, and one that has none."""
    from parentage.stream.backends.torch import Torch

    made = Torch("cpu", least=0)
    if request.param == "emulated":
        made.open().arithmetic = exact.arithmetic(native32=False, native64=False)
    return made
