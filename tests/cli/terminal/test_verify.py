"""What is shown of checks of evidence."""

from common.terminals import shown
from parentage.cli.terminal.verify import SHOWN, show_verification
from parentage.verify import FAILED, OK, UNCHECKED, Finding, Verification

GOOD = Finding("digests", OK, "all files are there")
SLICES = {
    "seed": 5, "read": 3, "drawn": 3, "of": 9, "equal": 3, "elements": 1234, "digests": False,
    "differing_less_than": 0.632,
}  # fmt: skip


def test_what_holds_is_told_with_its_limits(capsys):
    text = shown(capsys, show_verification, Verification("x", (GOOD,), None, "abc"))
    assert text.startswith("consistent: ")
    assert "SHA-256 of the manifest: abc" in text
    assert "not that they are true" in text
    assert "by digests alone" in text


def test_what_was_read_again_is_told_with_its_bound(capsys):
    text = shown(capsys, show_verification, Verification("x", (GOOD,), None, "abc", SLICES))
    assert text.startswith("reproduced: ")
    for part in ("3 of 9 slices", "1,234 elements", "seed 5", "95 %", "63.2%", "not hashed"):
        assert part in text


def test_what_failed_is_told_with_its_file_and_nothing_acts_on_the_terminal(capsys):
    bad = Finding("sums", FAILED, "is \x1b[2Jaltered", "sums.parquet")
    left = Finding("others", UNCHECKED, "lies there", "a\x07")
    text = shown(capsys, show_verification, Verification("x", (GOOD, bad, left)))
    assert text.startswith("refuted: ")
    assert r"FAILED sums sums.parquet: is \x1b[2Jaltered" in text
    assert r"unchecked others a\x07: lies there" in text
    assert "not that they are true" not in text


def test_of_many_findings_the_first_are_shown_and_the_others_counted(capsys):
    bad = [Finding("sums", FAILED, f"number {i}") for i in range(SHOWN + 7)]
    text = shown(capsys, show_verification, Verification("x", tuple(bad)))
    assert f"number {SHOWN - 1}" in text
    assert f"number {SHOWN} " not in text
    assert "7 more of sums" in text
