"""Pictures of stored evidence as files: SVG or PNG, without a browser."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parentage.report.figure import POINTER
from parentage.report.figures import figures_of
from parentage.report.palette import CONFIG, THEMES, painted
from parentage.report.stored import read_parts
from parentage.support import ReportError, WriteError, write_file

if TYPE_CHECKING:
    import os

    from parentage.report.figure import Figure

FORMATS = ("svg", "png")
"""Formats of pictures."""

WIDTH = 640
"""Width of a picture, in pixels."""

LINE = 100
"""Characters of a line below a title."""

SCALE = 2.0
"""Pixels of a PNG for each of them."""

GROUND = {"light": "#ffffff", "dark": "#181e25"}
"""What pictures are drawn on."""


def write_figures(
    folder: str | os.PathLike[str],
    into: str | os.PathLike[str],
    *,
    file_format: str = "svg",
    theme: str = "light",
) -> list[Path]:
    """Write the pictures of evidence in a folder as files, and return where.

    Parameters
    ----------
    folder
        What ``parentage trace -o`` or :meth:`parentage.Trace.save` wrote.
    into
        The folder to write to, made if need be.
    file_format
        ``"svg"`` or ``"png"``.
    theme
        ``"light"`` or ``"dark"``.

    Raises
    ------
    ReportError
        If the folder holds no evidence, or if what draws charts can not be loaded.
    WriteError
        If the system refuses to write.
    ValueError
        If there is no such format or theme.
    """
    if file_format not in FORMATS:
        raise ValueError(f"file_format must be {' or '.join(FORMATS)}, not {file_format!r}")
    if theme not in THEMES:
        raise ValueError(f"theme must be {' or '.join(THEMES)}, not {theme!r}")
    figures = figures_of(read_parts(folder))
    into = Path(into)
    written = []
    try:
        into.mkdir(parents=True, exist_ok=True)
        for each in figures:
            path = into / f"{each.name}.{file_format}"
            write_file(path, drawn(each, file_format, theme))
            written.append(path)
    except OSError as error:
        raise WriteError(f"{into}: write pictures: {error.strerror or error}") from error
    return written


def drawn(figure: Figure, file_format: str = "svg", theme: str = "light") -> bytes:
    """Return a picture as the bytes of a file."""
    try:
        import vl_convert
    except ImportError as error:
        raise ReportError(
            f"vl-convert-python, which draws charts, is not at hand: {error}"
        ) from error
    spec = inert(standalone(figure, theme))
    if file_format == "png":
        return bytes(vl_convert.vegalite_to_png(spec, scale=SCALE, allowed_base_urls=[]))
    return renumbered(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])).encode()


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML can hold: a name with it would end the process that draws it, and no exception."""


def inert(value: Any) -> Any:
    r"""Return a specification in which what no XML can hold is told as escapes.

    >>> inert({"rows": ["a\x1b", "\ufffe", 1.5, None]})
    {'rows': ['a\\x1b', '\\ufffe', 1.5, None]}
    """
    if isinstance(value, dict):
        return {inert(key): inert(each) for key, each in value.items()}
    if isinstance(value, list):
        return [inert(each) for each in value]
    if not isinstance(value, str):
        return value
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)


def renumbered(svg: str) -> str:
    """Return a picture whose parts are numbered from 0 on: they are counted through a process.

    >>> renumbered('<a id="clip7"/><b fill="url(#clip7)"/><text>id="clip7"</text>')
    '<a id="clip0"/><b fill="url(#clip0)"/><text>id="clip7"</text>'
    """
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        name = numbers.setdefault(found[2] + found[3], f"{found[2]}{len(numbers)}")
        return f"{found[1]}{name}"

    parts = re.compile(r"""(\bid="|url\(#)(clip|gradient_)(\d+)""")
    return re.sub(r"<[^<>]+>", lambda tag: parts.sub(number, tag[0]), svg)


def standalone(figure: Figure, theme: str) -> dict[str, Any]:
    """Return the chart of Vega-Lite with its data, its words and its colours."""
    columns = figure.rows()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    spec: dict[str, Any] = painted(figure.spec, theme)
    config = painted(CONFIG, theme) | {"background": GROUND[theme]}
    title = {
        "text": figure.title,
        "subtitle": textwrap.wrap(figure.alt, LINE),
        "anchor": "start",
        "color": THEMES[theme]["@ink"],
        "subtitleColor": THEMES[theme]["@muted"],
        "limit": WIDTH,
        "offset": 12,
    }
    spec |= {"width": WIDTH, "config": config, "title": title, "padding": 16}
    spec["description"] = figure.alt
    # Nobody points at a file.
    spec["layer"] = [each for each in spec["layer"] if each.get("name") != POINTER]
    spec["params"] = [each for each in spec.get("params", ()) if POINTER not in each["views"]]
    spec["datasets"] = {**spec.get("datasets", {}), "rows": rows}
    return spec
