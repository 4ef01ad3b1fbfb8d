"""A parentage test for model checkpoints.

>>> import parentage
>>> from parentage.demo import family
>>> trace = parentage.trace(family("child"), base=family("base"), parents=[family("parent")])
>>> print(trace.verdict.kind, round(trace.weights["parent"], 2))
merge 0.6

Modules are imported when they are first used, so that importing the package is quick.
"""

import warnings

import lazy_loader

from parentage import _core

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = _core.__version__

if _core.build_profile == "debug":
    warnings.warn("parentage was built without optimisation; it is slow", stacklevel=2)
