"""The instruction set that the core takes."""

import pytest
from parentage import _core


def test_the_level_of_the_environment_is_taken(monkeypatch):
    monkeypatch.setenv("PARENTAGE_LEVEL", "scalar")
    assert _core.simd_level() == "scalar"
    monkeypatch.setenv("PARENTAGE_LEVEL", "mmx")
    with pytest.raises(ValueError, match=r"PARENTAGE_LEVEL.*mmx"):
        _core.simd_level()
    monkeypatch.delenv("PARENTAGE_LEVEL")
    assert _core.simd_level() == _core.levels()[-1]
