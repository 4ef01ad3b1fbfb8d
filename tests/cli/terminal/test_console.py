"""What is printed on which stream, and how words and numbers are written."""

import io

import pytest
from parentage.cli import Terminal
from parentage.cli.terminal.console import (
    REASONS_SHOWN,
    as_text,
    counted,
    new_table,
    reason_lines,
)
from parentage.stream import SILENT
from rich.console import Console


def terminal(**options):
    """Return a terminal whose streams are text."""
    result = Terminal(color=False, **options)
    for name in ("out", "err"):
        setattr(result, name, Console(file=io.StringIO(), width=60, no_color=True, markup=False))
    return result


def printed(console):
    return console.file.getvalue()


def test_messages_go_to_stderr_and_results_to_stdout():
    shown = terminal()
    shown.note("a note")
    shown.error("an error")
    shown.indent(["a line"])
    assert printed(shown.err) == "a note\nerror: an error\n"
    assert printed(shown.out) == "    a line\n"


def test_lines_below_a_line_are_not_folded():
    shown = terminal()
    shown.indent(["word " * 40])
    assert len(printed(shown.out).splitlines()) == 1


def test_quiet_is_silent_but_for_errors():
    shown = terminal(quiet=True)
    shown.note("a note")
    shown.error("an error")
    with shown.watching() as progress:
        assert progress is SILENT
    assert printed(shown.err) == "error: an error\n"


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (1234, "1,234 files")])
def test_things_are_counted_in_words(number, text):
    assert counted(number, "file") == text


def test_names_are_neither_markup_nor_escapes():
    assert "\x1b" not in as_text("[red]\x1b[2J").plain
    assert as_text("[red]a").plain == "[red]a"


def test_numbers_are_set_flush_right_and_words_flush_left():
    table = new_table("slice", "elements", "dtype")
    table.add_row("x", "1", "y")
    shown = terminal()
    shown.out.print(table)
    assert " slice   elements   dtype\n" in printed(shown.out)
    assert " x              1   y\n" in printed(shown.out)


def test_tensors_with_one_reason_are_one_line_and_most_come_first():
    rows = [("a", "no partner", "x"), ("b", "shape", "y"), ("b", "shape", "z")]
    assert reason_lines(rows) == ["2 of b: shape (as y)", "1 of a: no partner (as x)"]


def test_reasons_that_are_not_shown_are_counted():
    rows = [("a", f"reason {number}", "x") for number in range(REASONS_SHOWN + 2)]
    *shown, last = reason_lines(rows, "elsewhere")
    assert len(shown) == REASONS_SHOWN
    assert last == "... and 2 more reasons; all are elsewhere"


@pytest.mark.parametrize("width", ["0", "1", "-5", "x"])
def test_no_width_is_none(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    assert Terminal().out.width >= 40


def test_plain_text_has_no_escapes_even_on_a_terminal(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    for given, variable, is_plain in ((False, "", True), (True, "1", True), (True, "", False)):
        monkeypatch.setenv("NO_COLOR", variable)
        monkeypatch.setenv("TERM", "xterm-256color")
        screens = Screen(), Screen()
        monkeypatch.setattr("sys.stdout", screens[0])
        monkeypatch.setattr("sys.stderr", screens[1])
        shown = Terminal(color=given)
        shown.say("lead", "text")
        shown.error("an error")
        with shown.watching() as progress:
            progress.stage("a stage")
            progress.start(10)
            progress.update(5)
        assert ("\x1b" not in "".join(each.getvalue() for each in screens)) == is_plain


def test_lines_end_where_their_text_does(capsys):
    shown = Terminal()
    shown.prose("word " * 100)
    assert all(line == line.rstrip() for line in capsys.readouterr().out.splitlines())
