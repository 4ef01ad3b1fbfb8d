"""What is shown of speeds."""

from common.speeds import BENCH
from common.terminals import shown
from parentage.cli.terminal.bench import BAR, LONGEST, show_bench


def test_speeds_stand_beside_their_ceilings_with_the_machine_they_are_of(capsys):
    text = shown(capsys, show_bench, BENCH)
    for expected in ("A CPU of $2 and [red]more[/red], 2 CPUs", "16 GiB", "ext4", "2 threads"):
        assert expected in text
    assert "medians of 5 runs" in text
    assert "gram warm 1 4.00 0.50" in text
    assert "gram cold 1 0.50 0.50" in text
    assert "sha256 warm 2.50 1.25" in text
    assert "not measured: cold reads of F32" in text


def test_bars_are_as_long_as_shares(capsys):
    text = shown(capsys, show_bench, BENCH)
    bars = [len(word) for word in text.split() if set(word) == {"█"}]
    assert bars == [BAR, BAR // 2, BAR, BAR // 2, BAR, round(LONGEST * BAR)]
