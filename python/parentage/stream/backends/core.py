"""The Rust core as a backend. It defines what the six calls return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage import _core

if TYPE_CHECKING:
    from parentage.stream.backend import Backend


class Core:
    """The core's six calls, as they are."""

    gram = staticmethod(_core.gram)
    elements = staticmethod(_core.elements)
    spectrum = staticmethod(_core.spectrum)
    replay_slices = staticmethod(_core.replay_slices)
    replay_in_cells = staticmethod(_core.replay_in_cells)
    write_replay = staticmethod(_core.write_replay)

    def __reduce__(self) -> str:
        """Travel as the one there is."""
        return "CORE"


CORE: Backend = Core()
"""The backend that is always there. All others have its bits."""
