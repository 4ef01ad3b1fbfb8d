"""What is shown while questions are asked, and of what was answered."""

import io

from common.identities import answers_of
from common.terminals import shown
from parentage.cli import Terminal
from parentage.cli.terminal.identify import Asked, show_identity, watching
from parentage.identity import Name, Tally, analyse
from parentage.identity.overlap import Text
from parentage.identity.passages import Words
from parentage.identity.records import Answer, Skipped
from rich.console import Console

STORY = "born in the quiet labs of the north where three friends lived"


def identity(says, names=("Nex", "Rio"), **settings):
    extra = {key: settings.pop(key) for key in ("texts", "controls", "other") if key in settings}
    answers = answers_of(says, **settings)
    answers.add(Skipped("removed", "no \x1b[2J checkpoint"))
    return analyse(answers, [Name(each) for each in names], **extra)


def test_shares_tests_and_passages_are_shown(capsys):
    def says(key):
        return f"I am Rio, {STORY}." if key.arm == "as-served" else "I am Nex. My name is Ada."

    other = answers_of(lambda *_: "Hello.", questions=20, model="other")
    texts = [Text("card.md", Words.of(STORY))]
    text = shown(capsys, show_identity, identity(says, questions=20, other=other, texts=texts))
    for expected in (
        "double 80 answers to 20 questions in 1 language",
        "as-served Rio 40 40 100.0% 91.2 100.0 20 of 20 0 40",
        "claimed Rio as-served 40 empty-system 0 20 0",
        "other names claimed: Ada 40",
        "removed was not asked: no \\x1b[2J checkpoint",
        "Shared passages. card.md, 12 words:",
        "as-served: 40 of 40 answers, longest 12 words",
        f"12 words, 40 answers: {STORY}",
        "no control text is given",
        "Circumstantial:",
    ):
        assert expected in text, expected


def test_what_is_no_difference_is_counted(capsys):
    text = shown(capsys, show_identity, identity(lambda *_: "I am Nex."))
    assert "other tests of arms, names and models: no difference that chance could not" in text


def test_remarks_are_shown(capsys):
    answers = answers_of(lambda *_: None, arms=("as-served",))
    for at, text in enumerate(("", "<think>Nex")):
        answers.add(Answer("as-served", "q0", at, 0, text, finish="length"))
    text = shown(capsys, show_identity, analyse(answers, []))
    for expected in ("2 empty", "2 cut off at the most tokens", "1 with thoughts"):
        assert expected in text


def test_names_and_quotes_are_inert(capsys):
    evil = "[red]Nex[/red]\x1b[2J"
    text = shown(capsys, show_identity, identity(lambda *_: f"I am {evil}.", names=[evil]))
    assert "[red]Nex[/red]\\x1b[2J" in text


def terminal_of(text, *, is_terminal=False, quiet=False):
    terminal = Terminal(quiet=quiet, color=False)
    terminal.err = Console(file=text, width=100, force_terminal=is_terminal, no_color=True)
    return terminal


def test_lines_are_told_where_no_bar_can_be():
    text = io.StringIO()
    asked = Asked(terminal_of(text))
    tally = Tally(total=100, kept=30)
    asked.start(tally)
    for _ in range(70):
        tally.answered += 1
        tally.errors += 1
        asked.update(tally)
    asked.stop()
    first, *lines = text.getvalue().splitlines()
    assert first == "30 of 100 answers are kept; 70 are asked for"
    assert 7 <= len(lines) <= 10
    assert lines[-1].startswith("100 of 100 answers")
    assert lines[-1].endswith("70 failed attempts")


def test_a_bar_is_shown_on_terminals_and_taken_away():
    text = io.StringIO()
    asked = Asked(terminal_of(text, is_terminal=True))
    asked.start(Tally(total=4))
    asked.update(Tally(total=4, answered=1, failed=1))
    asked.stop()
    assert "asking" in text.getvalue()
    assert "1 without an answer" in text.getvalue()


def test_nothing_is_told_where_quiet():
    text = io.StringIO()
    with watching(terminal_of(text, quiet=True)) as progress:
        progress.start(Tally(total=1, kept=1))
        progress.note("a word")
    with watching(terminal_of(text)) as progress:
        assert isinstance(progress, Asked)
    assert text.getvalue() == ""
