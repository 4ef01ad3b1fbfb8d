"""Estimates with their uncertainty, and tables of them by slice, layer and component."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
