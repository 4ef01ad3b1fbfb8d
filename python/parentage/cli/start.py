"""Where the command begins: nothing is imported here before what an interrupt does is settled."""

from __future__ import annotations

import os
import signal
import sys

_received: list[int] = []
"""Signals that ended the process's work, other than Ctrl-C."""


def main() -> None:
    """Entry point of the ``parentage`` command.

    Whatever ends it early ends it as Ctrl-C does: with what is kept, in one line.
    """
    try:
        for name in ("SIGTERM", "SIGHUP"):
            _as_interrupt(getattr(signal, name, None))
        # Imports take a third of a second, in which somebody may press Ctrl-C.
        from parentage.cli.app import run
        from parentage.support import share_heaps

        share_heaps()
        _write_anything()
        status = run()
    except KeyboardInterrupt:
        # Python's own streams may be in the middle of something.
        os.write(2, b"interrupted; nothing was written\n")
        status = 128 + signal.SIGINT
    if status == 128 + signal.SIGINT and _received:
        status = 128 + _received[0]
    sys.exit(status)


def _as_interrupt(number: int | None) -> None:
    """Have a signal raise ``KeyboardInterrupt``, unless whoever started us ignores it."""
    if number is None or signal.getsignal(number) != signal.SIG_DFL:
        return

    def interrupt(received: int, _: object) -> None:
        _received.append(received)
        raise KeyboardInterrupt

    signal.signal(number, interrupt)


def _write_anything() -> None:
    """Have stdout and stderr take every character: what they have no room for is written in ASCII.

    Half a report that ends in an error of encoding is worse than one without its dashes.
    """
    import codecs

    def in_ascii(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        text = error.object[error.start : error.end]
        plain = "".join(
            _PLAIN.get(each) or each.encode("ascii", "backslashreplace").decode() for each in text
        )
        return plain, error.end

    codecs.register_error("parentage", in_ascii)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors == "strict":
            reconfigure(errors="parentage")


_PLAIN = {
    "\u00b1": "+-",
    "\u2026": "...",
    "\u2500": "-",
    "\u00d7": "x",
    "\u00b2": "2",
    "\u2588": "#",
}
