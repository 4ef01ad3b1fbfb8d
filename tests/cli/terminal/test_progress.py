"""What is shown while a pass goes on."""

import io

from parentage.cli.terminal.progress import Bar
from parentage.stream import Preview
from rich.console import Console


def test_what_is_no_terminal_is_told_first_looks_alone():
    text = io.StringIO()
    bar = Bar(Console(file=text, width=80, no_color=True))
    bar.stage("pairing tensors")
    bar.start(100)
    bar.update(50)
    bar.look(Preview("merge", "statistical", "blend", "text", 0.25, 1))
    bar.look(Preview("merge", "statistical", "blend", "text", 0.5, 2))
    bar.stop()
    first, second = text.getvalue().splitlines()
    assert first.startswith("first look, 25")
    assert first.endswith("read: merge (statistical, by rule blend)")
    assert second.startswith("look 2, 50")
