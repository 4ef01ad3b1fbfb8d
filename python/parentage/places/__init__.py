"""What was done to a slice, and sentences of it: places, not smears."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
