"""Which options of a trace do not go together."""

import json

import parentage
import pytest
from conftest import family_path
from parentage.cli import run
from parentage.cli.commands.trace import refused

REFUSED = {
    "a digest of a sample": {"digest": "sha256", "sample": "50%"},
    "a digest until sure": {"digest": "sha256", "until_sure": True},
    "going on with nothing": {"resume": True},
    "going on with a sample": {"resume": True, "output": True, "sample": "50%"},
    "going on until sure": {"resume": True, "output": True, "until_sure": True},
}


def words(options):
    """Return options of Python as the command line has them."""
    for name, value in options.items():
        yield "--" + name.replace("_", "-")
        if value is not True:
            yield str(value)


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_the_command_refuses_what_python_refuses(capsys, tmp_path, options):
    options = {name: tmp_path if name == "output" else x for name, x in options.items()}
    family = {"base": family_path("base"), "parents": [family_path("parent")]}
    with pytest.raises(ValueError, match=r"digest|resume"):
        parentage.trace(family_path("child"), **family, **options)
    arguments = ["trace", "child", "-b", "base", *words(options)]
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert "Usage" in err
    assert "--digest is" in err or "--resume " in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("digest", [None, "sha256"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_full_pass_with_a_place_for_what_was_read_is_refused_nothing(tmp_path, digest, resume):
    assert refused(digest, tmp_path, resume=resume, is_sampled=False) is None


def test_parents_have_the_names_that_they_are_given(capsys):
    child, base, parent, sibling = (
        str(family_path(name)) for name in ("child", "base", "parent", "sibling")
    )
    arguments = ["trace", child, "-b", f"old={base}", "-p", f"tuned={parent}"]
    arguments += ["-c", f"tuned={sibling}", "--json", "--no-recipes"]
    assert run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["inputs"]["base"]["name"] == "old"
    assert [each["name"] for each in told["inputs"]["parents"]] == ["tuned"]
    assert [each["name"] for each in told["inputs"]["controls"]] == ["tuned#2"]
    assert told["recipe"] is None


def test_layers_beside_json_are_told_where_they_are(capsys):
    child, base = (str(family_path(name)) for name in ("child", "base"))
    assert run(["trace", child, "-b", base, "--json", "--layers", "--no-recipes"]) == 0
    said = capsys.readouterr()
    assert "slices.parquet" in said.err
    json.loads(said.out)
