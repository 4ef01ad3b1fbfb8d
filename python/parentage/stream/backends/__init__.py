"""Backends, one file each: what has the five calls of :class:`parentage.stream.Backend`."""
