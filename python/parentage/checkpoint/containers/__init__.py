"""Formats of files that hold tensors, one file for each: where their bytes lie, from headers alone.

Nothing in a file is executed, and no tensor is read. Adding one is adding a file with
``serves(file)`` and ``read(file)``, and its line in
:data:`parentage.checkpoint.containers.chosen.CONTAINERS`.
"""
