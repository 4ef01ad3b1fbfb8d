"""Pictures of speeds."""

import pytest
from common.speeds import BENCH
from parentage.bench import plot
from parentage.support import ParentageError, WriteError


def test_a_picture_is_drawn(tmp_path):
    for name, start in (("a.svg", b"<?xml"), ("a.png", b"\x89PNG")):
        plot.draw(BENCH, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(WriteError):
        plot.draw(BENCH, tmp_path / "missing" / "a.png")


def test_the_same_figures_draw_the_same_bytes_without_a_date(tmp_path):
    for name in ("a.png", "b.png", "a.svg"):
        plot.draw(BENCH, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert "<dc:date>" not in (tmp_path / "a.svg").read_text("utf-8")


def test_what_can_not_be_drawn_is_refused_before(tmp_path, monkeypatch):
    plot.check(tmp_path / "a.SVG")
    with pytest.raises(ValueError, match=r"ends in \.svg or \.png"):
        plot.check(tmp_path / "a.pdf")
    monkeypatch.setattr(plot, "find_spec", lambda _: None)
    with pytest.raises(ParentageError, match="needs matplotlib"):
        plot.check(tmp_path / "a.svg")
