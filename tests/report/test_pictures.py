"""Pictures as files, without a browser."""

import struct
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from parentage import WriteError, write_figures
from parentage.report.figures import figures_of
from parentage.report.pictures import drawn, standalone
from parentage.support import ReportError


def test_every_picture_is_a_file(stored, tmp_path):
    written = write_figures(stored, tmp_path / "new" / "folder")
    assert [path.stem for path in written] == ["spectrum", "weights", "residual", "controls"]
    for path in written:
        assert ElementTree.fromstring(path.read_text("utf-8")).tag.endswith("svg")
    assert sorted(path.parent for path in written) == [tmp_path / "new" / "folder"] * 4


def test_they_are_the_same_each_time(figures):
    assert drawn(figures["weights"]) == drawn(figures["weights"])
    assert drawn(figures["weights"]) != drawn(figures["weights"], theme="dark")


def test_png_is_for_those_who_need_pixels(figures):
    data = drawn(figures["controls"], "png")
    assert data.startswith(b"\x89PNG")
    width, _ = struct.unpack(">II", data[16:24])
    assert width > 1000


def test_names_with_markup_are_drawn_as_text(hostile):
    for each in figures_of(hostile)[:3]:
        root = ElementTree.fromstring(drawn(each).decode())
        assert not [node for node in root.iter() if node.tag.endswith(("script", "image", "a}"))]


@pytest.mark.parametrize("name", ["a\x1bb", "a\ufffe", "\uffff", "\ud800", "\x00"], ids=ascii)
def test_what_no_xml_can_hold_ends_no_process(figures, name):
    """The library that draws aborts where text is none of XML: no exception, and no evidence."""
    figure = replace(figures["controls"], title=name, alt=name)
    root = ElementTree.fromstring(drawn(figure))
    assert any("\\" in text for text in root.itertext())


def test_data_and_words_are_in_the_specification(figures):
    spec = standalone(figures["weights"], "light")
    assert len(spec["datasets"]["rows"]) == figures["weights"].frame.height
    assert spec["description"] == figures["weights"].alt
    assert "@" not in str({k: v for k, v in spec.items() if k != "datasets"})


def test_what_there_is_not_is_refused(stored, tmp_path, figures, monkeypatch):
    with pytest.raises(ValueError, match="file_format must be svg or png, not 'gif'"):
        write_figures(stored, tmp_path, file_format="gif")
    with pytest.raises(ValueError, match="theme must be light or dark, not 'pink'"):
        write_figures(stored, tmp_path, theme="pink")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match="write pictures: "):
        write_figures(stored, tmp_path / "file")
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ReportError, match="vl-convert-python"):
        drawn(figures["weights"])
