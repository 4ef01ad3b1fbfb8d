"""Who the relatives of a checkpoint are in a library, and what it may be traced against."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
