"""Where a checkpoint's bytes come from, one file for each kind of place.

Adding one is adding a file with ``serves(given)`` and ``open(given, network)``, and its line in
:data:`parentage.checkpoint.sources.chosen.REMOTE`.
"""
