"""The pictures of a report, the most telling first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.report.figure import Drawing
from parentage.report.figure_maps import experts_figure, mismatches_figure, weights_figure
from parentage.report.figure_points import controls_figure, residual_figure
from parentage.report.figure_spectra import spectrum_figure, spectrum_layers_figure
from parentage.support import ReportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.report.figure import Figure
    from parentage.report.parts import ReportParts


def figures_of(parts: ReportParts) -> list[Figure]:
    """Return the pictures that there is something to show of.

    Raises
    ------
    ReportError
        If Altair can not be loaded.
    """
    try:
        from altair.utils.schemapi import debug_mode

        # Charts are held to their schema by tests: that takes longer than all the rest.
        with debug_mode(False):
            drawing = Drawing(parts)
            return [each for each in _drawn(drawing) if each is not None]
    except ImportError as error:
        raise ReportError(f"altair, which describes charts, is not at hand: {error}") from error


def _drawn(drawing: Drawing) -> Iterator[Figure | None]:
    """Yield every picture; ``None`` for one of which there is nothing to show."""
    tails = {
        parent: f"-{number}" if len(drawing.parents) > 1 else ""
        for number, parent in enumerate(drawing.parents, 1)
    }
    for parent, tail in tails.items():
        if parent in drawing.series.spectrum_parents:
            yield spectrum_figure(drawing, parent, f"spectrum{tail}")
            yield spectrum_layers_figure(drawing, parent, f"spectrum-layers{tail}")
    for parent, tail in tails.items():
        yield weights_figure(drawing, parent, f"weights{tail}")
        yield experts_figure(drawing, parent, f"experts{tail}")
    yield residual_figure(drawing)
    yield mismatches_figure(drawing)
    yield controls_figure(drawing)
