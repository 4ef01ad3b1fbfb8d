"""Evidence printed and written in other formats."""

import json

import pytest
from common.bundles import traced
from common.two_parents import invoke
from parentage.bundle import FORMATS, export
from parentage.cli.commands.export import FORMATS as LISTED


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    traced(folder)
    return folder


def test_the_formats_are_those_of_the_room():
    assert LISTED == FORMATS


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_printed_is_what_is_written(made, tmp_path, capsys, form):
    status, out, err = invoke(capsys, "export", made, "--format", form)
    assert (status, err) == (0, "")
    assert out == export(made, form)[0]
    status, out, err = invoke(capsys, "export", made, "--format", form, "-o", tmp_path / "x")
    assert (status, out) == (0, "")
    assert "wrote" in err
    assert (tmp_path / "x").read_text("utf-8") == export(made, form)[0]


def test_a_verdict_that_is_not_to_be_exits_with_3_and_is_an_error_in_sarif(made, capsys):
    arguments = ("export", made, "--format", "sarif", "--fail-on", "merge")
    status, out, err = invoke(capsys, *arguments)
    assert status == 3
    assert "--fail-on names" in err
    assert json.loads(out)["runs"][0]["results"][0]["level"] == "error"
    assert invoke(capsys, "export", made, "--format", "sarif", "--fail-on", "identical")[0] == 0


RELEASE = (
    *("--supplied-by", "Example Lab", "--released", "2026-01-31"),
    *("--download-location", "https://example.org/model", "--package-version", "1.0"),
)


def test_what_the_owner_says_makes_a_document_of_the_ai_profile(made, capsys):
    status, out, err = invoke(capsys, "export", made, "--format", "spdx", *RELEASE)
    (document,) = [x for x in json.loads(out)["@graph"] if x["type"] == "SpdxDocument"]
    assert (status, err, document["profileConformance"][-1]) == (0, "", "ai")
    status, out, err = invoke(capsys, "export", made, "--format", "spdx", *RELEASE[:-2])
    assert status == 0
    assert "Of child, --package-version is lacking." in " ".join(err.split())


@pytest.mark.parametrize("form", ["cyclonedx", "sarif"])
def test_what_is_said_of_a_release_is_for_spdx(made, capsys, form):
    assert invoke(capsys, "export", made, "--format", form, *RELEASE)[0] == 2
    status, _, err = invoke(capsys, "export", made, "--format", "spdx", "--released", "soon")
    assert (status, "--released: 'soon' is no day" in " ".join(err.split())) == (1, True)


def test_errors_say_what_is_wrong(made, tmp_path, capsys):
    status, _, err = invoke(capsys, "export", tmp_path / "none", "--format", "spdx")
    assert (status, "does not exist" in err) == (1, True)
    assert invoke(capsys, "export", made)[0] == 2
    assert invoke(capsys, "export", made, "--format", "pdf")[0] == 2
    target = tmp_path / "none" / "file"
    status, _, err = invoke(capsys, "export", made, "--format", "spdx", "-o", target)
    assert (status, "write" in err) == (1, True)
