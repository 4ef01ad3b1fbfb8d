"""Every number of a result, to compare it bit for bit."""

from dataclasses import fields, is_dataclass

import numpy as np


def bits(statistics):
    """Every number of a result."""
    found = []
    for each in fields(statistics):
        value = getattr(statistics, each.name)
        if is_dataclass(value):
            found += bits(value)
        elif isinstance(value, np.ndarray):
            found.append((each.name, value.shape, value.tobytes()))
        else:
            found.append((each.name, value))
    return found
