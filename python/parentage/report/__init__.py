"""The report: stored evidence as a page for people, and its pictures as files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
