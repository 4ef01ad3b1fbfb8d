"""Evidence verified from the command line: exit status, what is told, and what is logged."""

import json

import pytest
from common.bundles import PLACES, edit_document, put, resealed, traced
from common.two_parents import invoke
from conftest import family_path
from parentage.bundle import CUSTODY, EVIDENCE, read_custody

GIVEN = (
    *("--child", PLACES["child"], "-b", PLACES["base"]),
    *("-p", PLACES["parent"], "-c", PLACES["sibling"]),
)


@pytest.fixture
def bundle(tmp_path):
    traced(tmp_path / "evidence")
    return tmp_path / "evidence"


def entries(folder):
    return read_custody((folder / CUSTODY).read_bytes(), CUSTODY)


def test_evidence_that_holds_is_told_with_what_that_does_not_show(bundle, capsys):
    status, out, err = invoke(capsys, "verify", bundle)
    assert (status, err) == (0, "")
    assert out.startswith("consistent: ")
    assert "not that they are true" in " ".join(out.split())
    found = entries(bundle)
    assert [each["action"] for each in found] == ["trace", "verify"]
    assert found[-1]["command"][:2] == ["parentage", "verify"]
    assert found[-1]["outcome"] == {"standing": "consistent", "slices": None}


def test_what_is_refuted_exits_with_3_and_names_the_file(bundle, capsys):
    edit_document(bundle, lambda told: put(told, "verdict.numbers.weight_parent", 0.5))
    resealed(bundle)
    status, out, _ = invoke(capsys, "verify", bundle)
    assert status == 3
    assert "refuted: " in out
    assert "FAILED" in out
    # Whoever verifies again is told the same, though the log has seen the files by now.
    (bundle / "facts.json").write_bytes(b"{}")
    assert invoke(capsys, "verify", bundle)[0] == 3
    assert invoke(capsys, "verify", bundle)[0] == 3


def test_json_is_one_document_on_stdout_and_nothing_else(bundle, capsys):
    status, out, err = invoke(capsys, "verify", bundle, *GIVEN, "--all", "--json")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert (told["schema"], told["standing"]) == ("parentage.verification/1", "reproduced")
    assert told["slices"]["read"] == told["slices"]["of"] == 23
    assert told["slices"]["digests"]
    assert {each["status"] for each in told["findings"]} == {"ok"}


def test_the_seed_is_that_of_the_verifier(bundle, capsys):
    command = ("verify", bundle, *GIVEN, "--slices", 3, "--seed", 11)
    status, out, _ = invoke(capsys, *command, "--custodian", "B. Other")
    assert status == 0
    assert "3 of 23 slices, " in out
    assert "seed 11" in out
    entry = entries(bundle)[-1]
    assert entry["custodian"] == "B. Other"
    assert [each["name"] for each in entry["inputs"]] == list(PLACES)
    assert entry["outcome"]["slices"]["seed"] == 11


def test_checkpoints_are_told_by_name_wherever_they_are(bundle, capsys):
    files = [x for name in PLACES for x in ("--files", f"{name}={PLACES[name]}")]
    assert invoke(capsys, "verify", bundle, *files, "--slices", 1)[0] == 0
    other = ("-p", f"parent={PLACES['parent']}", "-c", f"sibling={PLACES['sibling']}")
    given = ("--files", f"child={PLACES['child']}", "-b", PLACES["base"], *other)
    assert invoke(capsys, "verify", bundle, *given, "--slices", 1)[0] == 0


def test_another_parent_is_refuted(bundle, capsys):
    given = [family_path("grandchild") if x == PLACES["parent"] else x for x in GIVEN]
    status, out, _ = invoke(capsys, "verify", bundle, *given, "--slices", 1)
    assert status == 3
    assert "read again" in out


def test_no_entry_is_added_if_none_is_wanted_and_a_damaged_log_is_left(bundle, capsys):
    invoke(capsys, "verify", bundle, "--no-log")
    assert len(entries(bundle)) == 1
    (bundle / CUSTODY).write_bytes(b"x\n")
    status, _, err = invoke(capsys, "verify", bundle)
    assert status == 3
    assert "is left as it is" in err
    assert (bundle / CUSTODY).read_bytes() == b"x\n"


@pytest.mark.parametrize(
    "options",
    [["--seed", 1], ["--slices", 3], ["--all"], ["--digest", "sha256"], ["--files", "x"],
     ["--slices", 0], [*GIVEN, "--all", "--slices", 3], ["--files", "=x"]],
)  # fmt: skip
def test_options_that_do_not_go_together_are_usage_errors(bundle, capsys, options):
    assert invoke(capsys, "verify", bundle, *options)[0] == 2


@pytest.mark.parametrize("name", ["nowhere", EVIDENCE])
def test_what_is_no_bundle_exits_with_1(bundle, capsys, name):
    status, _, err = invoke(capsys, "verify", bundle / name)
    assert status == 1
    assert "a bundle is a folder" in err
    assert invoke(capsys, "verify", bundle / name, *GIVEN)[0] == 1


def test_a_checkpoint_that_is_lacking_or_unknown_exits_with_1(bundle, capsys):
    status, _, err = invoke(capsys, "verify", bundle, *GIVEN[:4])
    assert (status, "'parent' is lacking" in err) == (1, True)
    status, _, err = invoke(capsys, "verify", bundle, *GIVEN, "--files", "x=y")
    assert (status, "'x' is no checkpoint" in err) == (1, True)


def test_a_verdict_that_can_not_be_checked_exits_with_1(bundle, capsys):
    (bundle / "facts.json").unlink()
    resealed(bundle)
    status, out, _ = invoke(capsys, "verify", bundle)
    assert (status, out.startswith("incomplete: ")) == (1, True)
