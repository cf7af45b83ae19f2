"""Sizes of loops that XLA can divide among threads."""

__all__ = ["padding"]

_EVEN = 960
"""A number that the usual numbers of threads divide."""

_DIVIDED = 16384
"""Elements from which XLA may divide a loop among threads."""


def padding(size: int) -> int:
    """How many elements nobody asked for follow those of several variables in a row, ``size`` in all.

    XLA makes a loop of scalars, several times as slow, if it can't give each thread the same number of elements.
    """
    return -size % _EVEN if size > _DIVIDED else 0
