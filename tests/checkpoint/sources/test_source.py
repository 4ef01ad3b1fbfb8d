"""What every kind of place has to offer."""

import inspect

import numpy as np
import pytest
from conftest import BF16, write_checkpoint
from parentage.checkpoint.sources import buckets, hub, local, web
from parentage.checkpoint.sources.chosen import REMOTE
from parentage.checkpoint.sources.source import Opened, Origin, Source

SOURCES = (local, hub, web, buckets)


def test_all_of_them_are_looked_at():
    names = {each.__name__.rpartition(".")[2] for each in SOURCES}
    assert names == {"local", *REMOTE.values()}


def test_an_origin_has_nothing_that_was_not_said():
    assert Origin("hf://a/b") == Origin("hf://a/b", None, {}, (), {})


@pytest.mark.parametrize("source", SOURCES, ids=lambda each: each.__name__.rpartition(".")[2])
@pytest.mark.parametrize("name", ["serves", "open"])
def test_every_kind_of_place_offers_both_functions(source, name):
    asked = inspect.signature(getattr(Source, name)).parameters
    offered = inspect.signature(getattr(source, name)).parameters
    assert list(asked)[1:] == list(offered)


def test_what_was_opened_has_a_path_a_name_and_headers(tmp_path):
    folder = write_checkpoint(tmp_path / "m", {"a": np.zeros(4, BF16)})
    assert [source for source in SOURCES if source.serves(folder)] == [local]
    opened = local.open(folder)
    assert isinstance(opened, Opened)
    assert (opened.path, opened.name) == (folder, "m")
    assert opened.core.find("a") == 0
