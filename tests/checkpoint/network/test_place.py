"""What fetches ranges has what is asked of it."""

import inspect

import pytest
from parentage.checkpoint.network.http_place import HttpPlace
from parentage.checkpoint.network.place import Place
from parentage.checkpoint.sources.buckets import BucketPlace


@pytest.mark.parametrize("kind", [HttpPlace, BucketPlace])
def test_a_place_has_all_that_one_has(kind):
    names = [name for name in vars(Place) if not name.startswith("_")]
    assert {"name", "bytes", "identity", "fetch"} <= set(names)
    asked = inspect.signature(Place.fetch).parameters
    assert list(inspect.signature(kind.fetch).parameters) == list(asked)
    assert all(isinstance(getattr(kind, name), property) for name in ("bytes", "identity"))
