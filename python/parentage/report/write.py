"""Makes the report of stored evidence again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from parentage.bundle import MANIFEST, amend
from parentage.report.render import render_report
from parentage.report.stored import read_parts
from parentage.support import ReportError, is_there, write_file

if TYPE_CHECKING:
    import os

REPORT = "report.html"
"""What the report is called in a folder of evidence."""


def write_report(
    folder: str | os.PathLike[str], output: str | os.PathLike[str] | None = None
) -> Path:
    """Make the report of evidence in a folder, and return where it was written.

    Parameters
    ----------
    folder
        What ``parentage trace -o`` or :meth:`parentage.Trace.save` wrote.
    output
        The file to write; ``report.html`` in the folder by default.

    Raises
    ------
    ReportError
        If the folder holds no evidence, damaged evidence, or that of another schema.
    WriteError
        If the system refuses to write.

    Examples
    --------
    >>> import parentage, tempfile
    >>> from parentage.demo import family
    >>> trace = parentage.trace(family("child"), base=family("base"), parents=[family("parent")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = trace.save(folder)
    ...     parentage.write_report(folder).name
    'report.html'
    """
    target = Path(folder) / REPORT if output is None else Path(output)
    parts = read_parts(folder)
    try:
        text = render_report(parts)
    except pl.exceptions.PolarsError as error:
        raise ReportError(f"{folder}: its tables are no evidence: {error}") from error
    if output is None and is_there(Path(folder) / MANIFEST):
        amend(folder, {REPORT: text.encode()}, "report")
    else:
        write_file(target, text.encode())
    return target
