"""Children of the shipped family, traced."""

import numpy as np
import parentage
from conftest import BF16, FAMILY, write_checkpoint


def trace(tmp_path, family, tensors, base="base", parents=("parent",), controls=()):
    """Trace tensors as the child; others are names in the family, or folders."""
    child = write_checkpoint(tmp_path / "made", tensors)

    def found(name):
        return family(name) if name in FAMILY else name

    return parentage.trace(
        child,
        base=found(base),
        parents=[found(name) for name in parents],
        controls=[found(name) for name in controls],
    )


def each(function, *checkpoints):
    """Apply a function of float64 arrays to the tensors of the same name, and round to bf16."""
    return {
        name: np.asarray(
            function(*(checkpoint[name].astype(np.float64) for checkpoint in checkpoints))
        ).astype(BF16)
        for name in checkpoints[0]
    }
