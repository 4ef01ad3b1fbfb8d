"""Two parents and their child."""

import pytest
from common.two_parents import merge


@pytest.fixture
def merged(tmp_path):
    return merge(tmp_path)
