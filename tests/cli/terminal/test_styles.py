"""How kinds of verdicts are set off."""

from parentage.cli.terminal.styles import STYLES
from parentage.verdict import KINDS


def test_every_kind_of_verdict_has_a_style():
    assert STYLES.keys() == set(KINDS)
