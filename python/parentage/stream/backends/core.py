"""The Rust core as a backend: its module has the five calls, and defines what they return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage import _core

if TYPE_CHECKING:
    from parentage.stream.backend import Backend

CORE: Backend = _core
"""The backend that is always there. All others have its bits."""
