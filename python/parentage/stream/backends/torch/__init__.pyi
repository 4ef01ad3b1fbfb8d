from .backend import Torch as Torch
