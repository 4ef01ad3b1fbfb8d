"""Whether the page for people is the one that the evidence gives: it is made again."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import TYPE_CHECKING

from parentage.report import MADE_OF, REPORT, made_with, parts_of, render_report
from parentage.support import EvidenceError, ReportError, printable
from parentage.verify.finding import FAILED, OK, UNCHECKED, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.verify.folder import Folder

MADE = re.compile(r'<meta name="generator" content="(parentage [^"<>&]{1,200})">')
PACKED = re.compile(r'(?<="packed":")[A-Za-z0-9+/=]*(?=")')

MOST_UNPACKED = 1 << 28
"""Bytes of a table that a page holds compressed, at most."""

AROUND = 60
"""Characters that are told of a page where it is another."""


def check_page(folder: Folder) -> Iterator[Finding]:
    """Make the page again of the files that it is made of, and compare the two.

    A bundle without a page has none to check: whoever can not draw writes none.
    """
    if REPORT not in folder.files:
        return
    try:
        found = folder.files[REPORT].decode("utf-8")
    except UnicodeDecodeError as error:
        raise EvidenceError(f"{REPORT}: no UTF-8 at byte {error.start:,}") from error
    try:
        files = {name: folder.files[name] for name in MADE_OF if name in folder.files}
        again = render_report(parts_of(files))
    except ReportError as error:
        text = f"can not be made again here, and may say anything: {error}"
        yield Finding("page", UNCHECKED, text, REPORT)
        return
    if unpacked(found) == unpacked(again):
        text = "is, byte for byte, the page that this evidence gives"
        if found != again:
            text = "is the page that this evidence gives, but for how its table is compressed"
        yield Finding("page", OK, text, REPORT)
        return
    maker = MADE.search(found)
    own = printable(made_with())
    if maker is not None and maker[1] != own:
        yield Finding(
            "page",
            UNCHECKED,
            f"says that it was made by {printable(maker[1])}, and is not the page that {own} makes "
            "of this evidence: that version tells whether it was altered. parentage report "
            f"{folder.path} -o FILE makes the page with this one",
            REPORT,
        )
        return
    yield Finding("page", FAILED, _difference(found, again), REPORT)


def unpacked(page: str) -> str:
    """Return a page with what it holds compressed: compressors differ, and what they hold does not.

    What is compressed otherwise than a browser would take it stays as it is.
    """

    def plain(packed: re.Match[str]) -> str:
        stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            data = stream.decompress(base64.b64decode(packed[0], validate=True), MOST_UNPACKED)
            if stream.eof and not stream.unused_data:
                return data.decode("utf-8")
        except (zlib.error, binascii.Error, UnicodeDecodeError):
            pass
        return packed[0]

    return PACKED.sub(plain, page)


def _difference(found: str, again: str) -> str:
    """Return where a page is another than the one that is made again."""
    one, other = unpacked(found), unpacked(again)
    pairs = enumerate(zip(one, other, strict=False))
    at = next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
    begin = max(0, at - AROUND // 2)
    mine, theirs = (printable(text[begin : begin + AROUND]) for text in (one, other))
    line = one.count("\n", 0, at) + 1
    return (
        f"is not the page that this evidence gives: at line {line:,} it has {mine!r}, and made "
        f"again {theirs!r}. What it says is not what was found"
    )
