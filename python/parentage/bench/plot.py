"""Draws speeds, with matplotlib, which the extra ``parentage[plot]`` brings."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from parentage.support import ParentageError, WriteError, printable

if TYPE_CHECKING:
    from pathlib import Path

    from parentage.bench.speeds import Bench

FORMATS = (".svg", ".png")

COLORS = {"warm": "#4477aa", "cold": "#ee6677"}
"""By cache; told apart by the colour-blind, too (Tol 2021, bright)."""


def check(path: Path) -> None:
    """Make sure that a picture can be drawn into ``path``.

    Raises
    ------
    ValueError
        If its name has none of the endings in :data:`FORMATS`.
    ParentageError
        If matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: a picture ends in {' or '.join(FORMATS)}")
    if find_spec("matplotlib") is None:
        raise ParentageError(
            "a picture needs matplotlib: pip install 'parentage[plot]'; the table has bars without"
        )


def draw(bench: Bench, path: Path) -> None:
    """Draw a bar of GB/s for every case, with its share of the ceiling, by dtype.

    Raises
    ------
    WriteError
        If the file can not be written.
    """
    # Neither pyplot nor a window is needed for a file.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = bench.rows()
    dtypes = [group["dtype"] for group in bench.inputs]
    most = max(sum(row["dtype"] == dtype for row in rows) for dtype in dtypes)
    figure = Figure(figsize=(5 * len(dtypes) + 1, 0.3 * most + 1.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, dtype in zip(figure.subplots(1, len(dtypes), squeeze=False)[0], dtypes, strict=True):
        shown = [row for row in rows if row["dtype"] == dtype]
        labels = [
            row["what"] + (f", parents: {row['parents']}" if row["parents"] else "")
            for row in shown
        ]
        speeds = [row["gb_per_s"] for row in shown]
        colors = [COLORS[row["cache"]] for row in shown]
        bars = axes.barh(range(len(shown)), speeds, color=colors)
        axes.bar_label(bars, [f"{row['of_ceiling']:.2f}" for row in shown], padding=2, fontsize=7)
        axes.set_yticks(range(len(shown)), labels, fontsize=8)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_xlabel("GB/s; beside the bar: of the ceiling")
        axes.set_title(dtype)
    about = bench.machine
    title = f"{about['cpu']}, {about['level']}, {bench.threads} threads, {about['file_system']}"
    # A dollar sign would begin a formula.
    figure.suptitle(f"{printable(title)}: warm (blue), cold (red)".replace("$", r"\$"), fontsize=9)
    try:
        # Without a date, the same figures draw the same bytes.
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        figure.savefig(path, metadata=metadata, dpi=150)
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror}") from error
