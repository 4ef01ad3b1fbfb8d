"""Makes the report of stored evidence again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from parentage.bundle import MANIFEST, amend
from parentage.report.render import render_report
from parentage.report.stored import ANSWERS, parts_of, read_files
from parentage.support import ReportError, is_there, write_file

if TYPE_CHECKING:
    import os

REPORT = "report.html"
"""What the report is called in a folder of evidence."""


def write_report(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    custody: bool = False,
) -> Path:
    """Make the report of evidence in a folder, and return where it was written.

    Parameters
    ----------
    folder
        What ``parentage trace -o`` or :meth:`parentage.Trace.save` wrote.
    output
        The file to write; by default ``report.html`` in the folder, which is part of the bundle:
        the manifest then names it, and ``identity.json`` if that lies there.
    custody
        Show the log of custody as it stands. The log grows and the page of a bundle is always the
        same, so this is for another file.

    Raises
    ------
    ReportError
        If the folder holds no evidence, damaged evidence, or that of another schema.
    WriteError
        If the system refuses to write.
    ValueError
        If ``custody`` is asked for in the page of the bundle.

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
    own = Path(folder) / REPORT
    target = own if output is None else Path(output)
    is_own = target == own or (is_there(target) and is_there(own) and target.samefile(own))
    if custody and is_own:
        raise ValueError("the page of a bundle has no log of custody: say where else to write it")
    files = read_files(folder, custody=custody)
    try:
        data = render_report(parts_of(files, Path(folder))).encode()
    except pl.exceptions.PolarsError as error:
        raise ReportError(f"{folder}: its tables are no evidence: {error}") from error
    if is_own and is_there(Path(folder) / MANIFEST):
        # What the page is made of is sealed with it.
        said = {ANSWERS: files[ANSWERS]} if ANSWERS in files else {}
        amend(folder, {**said, REPORT: data}, "report")
    else:
        write_file(target, data)
    return target
