from .backend import Torch as Torch
from .device import DeviceError as DeviceError
