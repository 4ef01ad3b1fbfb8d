"""A checkpoint that tells its model who it is."""

import numpy as np
import pytest
from common.servers import TEMPLATE
from conftest import BF16, write_checkpoint


@pytest.fixture
def rio(tmp_path):
    """Return a checkpoint whose template tells the model who it is."""
    folder = tmp_path / "Rio"
    write_checkpoint(folder, {"a.weight": np.ones((2, 2), BF16)})
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder
