"""Which backend a name of a device stands for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from parentage.stream.backends import torch
from parentage.stream.backends.core import CORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.stream.backend import Backend

COMPILE = "PARENTAGE_TORCH_COMPILE"
"""A variable of the environment that is 1 where torch is to compile what a device has not."""


def backend_of(
    device: str | None, memory: int | None = None
) -> tuple[Backend, Mapping[str, str] | None, str | None]:
    """Return what computes, how evidence describes it, and what is to be said of it.

    Parameters
    ----------
    device
        ``None`` for the core, which has neither description nor remark; else what
        :class:`parentage.stream.backends.torch.Torch` takes. It is tested here.
    memory
        Bytes of the device's memory that may be used.

    Raises
    ------
    DeviceError
        If the device, or torch, is not there or can not be used.
    """
    if device is None:
        if memory is not None:
            raise ValueError("device memory is of a device, and none is given")
        return CORE, None, None
    chosen = torch.Torch(device, memory, compiled=os.environ.get(COMPILE) == "1")
    return chosen, chosen.describe(), chosen.remark
