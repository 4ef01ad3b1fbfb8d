"""What a sample shows of a plain merge."""

from __future__ import annotations

import pytest
from common.families import FAMILY, blend, found_in


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Findings about a plain merge."""
    folder = tmp_path_factory.mktemp("plain")
    return found_in(folder, FAMILY, blend(FAMILY, {"one": 0.6}), ["one", "other"])
