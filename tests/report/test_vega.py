"""The script that draws charts, kept for the next process."""

import sys

import pytest
from parentage.report import vega
from parentage.report.vega import bundle
from parentage.support import ReportError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundle.cache_clear()
    yield tmp_path / "parentage"
    bundle.cache_clear()


@pytest.fixture
def drawing(monkeypatch):
    """Count how often a bundle is made; it is a long text and no more."""
    made = []

    def javascript_bundle():
        made.append(1)
        return "/* é\r\n */" + "x" * vega.LEAST_BYTES

    monkeypatch.setitem(
        sys.modules,
        "vl_convert",
        type("M", (), {"javascript_bundle": staticmethod(javascript_bundle)}),
    )
    return made


def test_it_is_made_once_and_kept(cache, drawing):
    first = bundle()
    bundle.cache_clear()
    assert bundle() == first
    assert len(drawing) == 1
    assert len(list(cache.iterdir())) == 1


def test_what_was_kept_in_part_or_altered_is_made_again(cache, drawing):
    first = bundle()
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:70], b"", whole.replace(b"xxx", b"xyx", 1), b"\xff" * 99):
        path.write_bytes(damaged)
        bundle.cache_clear()
        assert bundle() == first
    assert len(drawing) == 6
    assert path.read_bytes() == whole


def test_where_nothing_can_be_kept_it_is_made_each_time(tmp_path, monkeypatch, drawing):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    bundle.cache_clear()
    assert len(bundle()) > vega.LEAST_BYTES
    bundle.cache_clear()
    bundle()
    assert len(drawing) == 2
    bundle.cache_clear()


def test_without_vl_convert_it_is_said(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ReportError, match="vl-convert-python, which draws charts, is not at hand"):
        bundle()
    assert not cache.exists()


def test_the_real_one_defines_what_pages_call():
    text = bundle()
    assert "window.vegaEmbed" in text
    assert len(text) > vega.LEAST_BYTES
