"""What checkpoints are to each other, as it is printed."""

from parentage.cli.terminal.compare import SHORT, STYLES, show_comparison
from parentage.cli.terminal.console import Terminal
from parentage.kinship import Comparison, Pair
from parentage.relatives import RELATIONS


def test_every_relation_has_a_short_name_and_a_style():
    assert set(SHORT) == set(STYLES) == set(RELATIONS)


def test_names_with_escapes_move_no_cursor(capsys):
    name = "x\x1b[2Jy"
    pairs = (
        Pair(name, "b", "unrelated", "statistical", "text", cosine=0.01),
        Pair(name, "c", "not compared", "statistical", "text"),
        Pair("b", "c", "identical", "exact", "text", cosine=1.0),
    )
    show_comparison(Terminal(color=False), Comparison((name, "b", "c"), pairs))
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "unrelated 0.010" in out
    assert "identical 1.000" in out
