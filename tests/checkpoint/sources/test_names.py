"""Names of checkpoints that are on no disk."""

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint.sources.names import (
    HubName,
    may_be_repository,
    scheme_of,
    shown_path,
)
from parentage.support import CheckpointError

NAMES = {
    "hf://org/name": ("org/name", None, "", None),
    "hf://org/name/": ("org/name", None, "", None),
    "hf://org/name@main": ("org/name", "main", "", None),
    "hf://org/na.me_1@v1.0/a/b": ("org/na.me_1", "v1.0", "a/b", None),
    "hf://org/name@refs/pr/7/a": ("org/name", "refs/pr/7", "a", None),
    "hf://org/name@a%2Fb": ("org/name", "a/b", "", None),
    "hf://org/name/a.safetensors": ("org/name", None, "", "a.safetensors"),
    "hf://org/name/a/m.safetensors.index.json": (
        "org/name", None, "a", "m.safetensors.index.json",
    ),
}  # fmt: skip


@pytest.mark.parametrize("given_", NAMES)
def test_a_name_has_its_parts(given_):
    assert tuple(HubName.parse(given_).as_dict().values()) == NAMES[given_]


@pytest.mark.parametrize("given_", [*NAMES, "hf://org/name@main/a/x.safetensors"])
def test_a_name_is_written_as_it_was_given(given_):
    if "%2F" not in given_:
        assert str(HubName.parse(given_)) == given_.rstrip("/")
    assert HubName.parse(str(HubName.parse("hf://a/b@c"))) == HubName.parse("hf://a/b@c")


@pytest.mark.parametrize(
    "given_",
    [
        "hf://", "hf://org", "hf:///name", "hf://org/", "hf://../name", "hf://org/name/../x",
        "hf://org/name//x", "hf://org/name@", "hf://org/na me", "hf://org/name/\x1b[2J",
        "hf://.hidden/name", "hf://org/name/./x",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(given_):
    with pytest.raises(CheckpointError, match="no name of a checkpoint on a hub"):
        HubName.parse(given_)


@given(st.text())
def test_any_text_is_a_name_or_an_error(text):
    try:
        name = HubName.parse(f"hf://{text}")
    except CheckpointError:
        return
    assert ".." not in name.folder.split("/")
    assert HubName.parse(name.at("c" * 40)).revision == "c" * 40


def test_org_and_name_are_a_repository_where_nothing_is_called_so_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert may_be_repository("org/name")
    for other in (
        "name",
        "./org/name",
        "/org/name",
        "org/name/x",
        "a b/c",
        Path("org/name"),
        "~/a",
    ):
        assert not may_be_repository(other)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert not may_be_repository("org/name")


def test_what_stands_before_an_address():
    assert [scheme_of(x) for x in ("HTTPS://a", "a://b", "a:/b", "://a", "a/b://c", Path("a"))] == [
        "https", "a", "", "", "", "",
    ]  # fmt: skip


def test_an_address_that_was_made_a_path_is_said_as_it_was():
    assert shown_path(PurePosixPath("https://host/a")) == "https://host/a"
    assert shown_path(PurePosixPath("/hf:/a")) == "/hf:/a"
