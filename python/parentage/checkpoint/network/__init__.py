"""Bytes that are on no disk of this machine: ranges of files, many requests at a time.

A *place* fetches ranges of one file (:mod:`parentage.checkpoint.network.place`); a
:class:`~parentage.checkpoint.network.ranged.RangedFile` joins what the core will ask for into few
requests, and hands it over. All that places share (limits, counters, memory, a cache on disk) is
in one :class:`~parentage.checkpoint.network.network.Network`.
"""
