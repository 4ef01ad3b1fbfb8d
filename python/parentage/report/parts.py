"""What a report is made of: the document, its tables, and what may lie beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from parentage.report.document import Document, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import polars as pl

METADATA, IDENTITY, CUSTODY = "metadata", "identity", "custody"
"""Findings beside those of weights that a report has a place for."""


@dataclass(frozen=True)
class ReportParts:
    """Stored evidence, as a report takes it."""

    document: Mapping[str, Any]
    """``evidence.json``."""
    slices: pl.DataFrame
    """``slices.parquet``: one row per slice and checkpoint."""
    spectrum: pl.DataFrame | None = None
    """``spectrum.parquet``; ``None`` for evidence that has none."""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """What lies beside it, by name: ``metadata``, ``identity`` (objects), ``custody`` (a list)."""

    @cached_property
    def read(self) -> Document:
        """The document with its keys as attributes.

        Raises
        ------
        ReportError
            If it is no evidence, or that of another schema.
        """
        return read_document(self.document)

    def other(self, name: str) -> Any:
        """Return a finding that lies beside the document; ``None`` without one."""
        return self.beside.get(name)
