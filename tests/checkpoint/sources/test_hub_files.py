"""What a hub is asked for, and what is said of what it answers."""

import pickle

import pytest
from common.networks import family_on_a_hub, impatient, quick
from parentage.checkpoint.network.http_place import Address
from parentage.checkpoint.sources.hub_files import HubFile, ask, library, refused
from parentage.support import CheckpointError, ReadError


@pytest.fixture
def double(monkeypatch, tmp_path):
    with family_on_a_hub(monkeypatch, tmp_path) as double:
        yield double


def child(double):
    commit = double.repositories["org/child"].revisions["main"]
    return HubFile("org/child", commit, "model.safetensors")


def test_an_address_is_asked_for_once_and_again_when_it_is_refused(double):
    file, network = child(double), quick()
    first = file.address(network)
    assert file.address(network) is first
    assert double.counts.requests["resolve"] == 1
    second = file.address(network, first)
    assert second is not first
    # Another thread that was refused with the first one has the second.
    assert file.address(network, first) is second
    assert double.counts.requests["resolve"] == 2
    assert first.url.startswith(double.data)
    assert first.headers == {}


def test_what_fails_for_a_while_is_asked_again(double):
    left = [3]

    def fault(_asked):
        left[0] -= 1
        return (
            ("status:429 Retry-After=0.02" if left[0] % 2 else "hang-up") if left[0] >= 0 else None
        )

    double.fault = fault
    assert child(double).address(quick()).url


def test_what_always_fails_is_given_up(double):
    double.fault = lambda _asked: "status:503"
    with pytest.raises(ReadError, match="the hub answers with status 503"):
        child(double).address(impatient(2))
    assert double.counts.requests["resolve"] == 2
    double.fault = lambda _asked: "status:429 Retry-After=9999"
    with pytest.raises(ReadError, match="left alone for 9999 seconds"):
        child(double).address(quick())


def test_an_address_elsewhere_must_be_allowed(double):
    double.fault = lambda _asked: "redirect:file:///etc/passwd"
    with pytest.raises(ReadError, match="refused"):
        child(double).address(quick())


def test_it_travels_without_its_address(double):
    file = child(double)
    file.address(quick())
    text = pickle.dumps(file)
    assert b"SECRET" not in text
    assert str(pickle.loads(text)) == str(file)


def test_other_errors_are_told_by_their_kind(double):
    del double

    def fails():
        raise KeyError("X-Amz-Signature=SECRET")

    with pytest.raises(ReadError, match="what answers is no hub") as raised:
        ask("hf://a/b", quick(), fails)
    assert "SECRET" not in str(raised.value)
    assert isinstance(refused("a", ValueError()), ReadError)


def test_a_library_that_is_not_there_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match=r"no such file or folder.*parentage\[hub\]"):
        library("org/name", is_bare=True)


def test_an_address_does_not_show_itself():
    assert "SECRET" not in repr(Address("https://a/b?SECRET", {"Authorization": "SECRET"}))
