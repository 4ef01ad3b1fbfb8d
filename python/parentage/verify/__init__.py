"""Whether a bundle agrees with itself, and with the checkpoints that it is of."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
