"""Shares as text."""

from __future__ import annotations


def share_of(share: float) -> str:
    """Return a share with two decimals, of which 100 % is all and 0 % is none.

    >>> share_of(1.0), share_of(0.999999), share_of(0.0285), share_of(1e-7), share_of(0.0)
    ('100%', '99.99%', '2.85%', 'less than 0.01%', '0%')
    """
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    if 0.0 < share < 1e-4:
        return "less than 0.01%"
    return f"{min(100.0 * share, 99.99) if share < 1.0 else 100.0 * share:.2f}%"
