"""The report from the command line."""

import pytest
from conftest import family_path
from parentage.cli import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evidence")
    child, base, parent = (str(family_path(name)) for name in ("child", "base", "parent"))
    assert run(["trace", child, "-b", base, "-p", parent, "-o", str(folder), "-q"]) == 0
    return folder


def test_it_is_made_again(folder, capsys):
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert run(["report", str(folder)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "wrote" in said.err
    assert (folder / "report.html").read_bytes() == before


def test_the_log_of_custody_is_for_a_page_elsewhere(folder, tmp_path, capsys):
    target = tmp_path / "court.html"
    assert run(["report", str(folder), "--custody", "-o", str(target)]) == 0
    assert "as the log stood" in target.read_text("utf-8")
    assert run(["report", str(folder), "--custody"]) == 2
    assert "say where else to write it" in " ".join(capsys.readouterr().err.split())


def test_pictures_are_files(folder, tmp_path, capsys):
    target, pictures = tmp_path / "a.html", tmp_path / "pictures"
    arguments = ["report", str(folder), "-o", str(target), "--figures", str(pictures)]
    assert run([*arguments, "--format", "png", "--theme", "dark"]) == 0
    assert target.is_file()
    assert "4 pictures" in capsys.readouterr().err
    assert {path.name for path in pictures.iterdir()} == {
        *("spectrum.png", "weights.png", "residual.png", "controls.png")
    }


def test_a_folder_without_evidence_is_an_error_in_a_sentence(tmp_path, capsys):
    assert run(["report", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "it holds no evidence.json; parentage trace -o DIR writes it" in " ".join(
        said.err.split()
    )


@pytest.mark.parametrize(
    "options", [[], ["x", "--format", "gif"], ["x", "--theme", "pink"]], ids=" ".join
)
def test_wrong_usage_ends_with_status_2(capsys, options):
    assert run(["report", *options]) == 2
    assert "Usage" in capsys.readouterr().err


def test_help_teaches_by_example(capsys):
    assert run(["report", "--help"]) == 0
    assert capsys.readouterr().out.count("parentage report") > 3
