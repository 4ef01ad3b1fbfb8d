"""What is printed on terminals, without its layout."""

from parentage.cli import Terminal


def shown(capsys, show, *given, **options):
    """Return the words that a function prints on a terminal, one blank between each two."""
    show(Terminal(color=False), *given, **options)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "\x1b" not in captured.out
    return " ".join(captured.out.split())
