"""Sketches of checkpoints: what they hold, how others are seen through them, and libraries."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
