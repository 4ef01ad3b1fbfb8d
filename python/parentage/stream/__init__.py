"""The compute seam: plans go in, sums and counts come out, by whatever backend."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
