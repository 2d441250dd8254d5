"""Whole-array operations on rows that fall into groups: order, sums and numbers within each group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]


def order_by(keys: Integers) -> Integers:
    """Return the order that sorts non-negative ``keys`` and keeps equal ones in place.

    A stable sort of 16-bit integers is a radix sort, whose time grows only with the number of keys.
    """
    narrow = not len(keys) or int(keys.max()) <= np.iinfo(np.int16).max
    return np.argsort(keys.astype(np.int16) if narrow else keys, kind="stable")


def starts_to_rows(first: Flags) -> Integers:
    """Return for each position the last one before or at it where ``first`` holds; ``first[0]`` must hold."""
    return np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))


def steps_up(values: Integers, before: int = 0) -> Integers:
    """Return by how much each of ``values`` is above the one before it; the first is above ``before``."""
    steps = values.copy()
    steps[1:] -= values[:-1]
    steps[:1] -= before
    return steps


def lasting(times: Integers, end: int) -> Integers:
    """Return how long it is from each of ``times`` to the next, and from the last to ``end``."""
    lengths = -times
    lengths[:-1] += times[1:]
    lengths[-1:] += end
    return lengths


def group_starts(groups: Integers) -> Flags:
    """Flag the first row of each group, rows of a group standing together. ``groups`` are their numbers."""
    first = np.ones(len(groups), dtype=np.bool_)
    np.not_equal(groups[1:], groups[:-1], out=first[1:])
    return first


def counted_up(lengths: Integers) -> Integers:
    """Return the numbers from 0 for each of ``lengths``, one after the other: 0, 1, 0, 1, 2 for 2 and 3."""
    # The position in the whole, less the position at which each begins.
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def sums_within(deltas: Integers, starts: Integers) -> Integers:
    """Return running sums of ``deltas`` that begin anew in each group; ``starts`` has the first row of each row's."""
    # One running sum over everything, less what it was before the group.
    sums = np.cumsum(deltas)
    return sums - (sums - deltas)[starts]
