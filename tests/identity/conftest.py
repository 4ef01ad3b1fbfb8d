"""A checkpoint that tells its model who it is."""

import pytest
from common.identities import told_to_be_rio


@pytest.fixture
def rio(tmp_path):
    return told_to_be_rio(tmp_path / "Rio")
