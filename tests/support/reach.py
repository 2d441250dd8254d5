"""What random tests reach: each counts what happens in it, and holds the counts against a floor for every kind.

A test that draws at random proves nothing about what it never draws. So it names, in one table, every kind of thing
that has to happen, and how often at least; the counts are checked when all examples have run, and printed (``pytest
-rP``). What happens and stands in no table is a fault too: a new kind is given a floor, or nobody would miss it.

Hypothesis makes most of a long run's examples by changing little in an earlier one, which helps to find the limits of
a failure and hardly ever reaches anything new. It begins to once it has seen ten good ones. The short profile
therefore runs many short runs, each from a seed of its own: a fifth of the examples then reaches as much.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from typing import TYPE_CHECKING, ParamSpec

from hypothesis import seed, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

P = ParamSpec("P")

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"

FRESH = 9
"""Examples of one short run: the simplest there is, and eight that owe nothing to each other."""


def seeds(examples: int) -> Iterator[int]:
    """Seeds of the short runs, of ``FRESH`` examples each, that make up so many examples."""
    yield from range(-(-examples // FRESH))


class Reach:
    """Counts by kind. ``floors``: how often each kind has to be reached in all examples of a test together."""

    def __init__(self, floors: Mapping[str, int]) -> None:
        self.floors = dict(floors)
        self.counts: Counter[str] = Counter()

    def __call__(self, kind: str, times: int = 1) -> None:
        """Count. A kind that the table does not name is told of at the end: it is no example's fault."""
        self.counts[kind] += times

    def test(self, examples: int = 54, long: int = 2500) -> Callable[[Callable[P, None]], Callable[P, None]]:
        """Decorate a test, above ``@given``: run about so many examples, count from 0, check at the end."""

        def decorate(function: Callable[P, None]) -> Callable[P, None]:
            once = settings(max_examples=long if LONG else FRESH)(function)

            @functools.wraps(function)
            def counted(*args: P.args, **kwargs: P.kwargs) -> None:
                self.counts.clear()
                for number in seeds(1 if LONG else examples):
                    (once if LONG else seed(number)(once))(*args, **kwargs)
                self.check()

            return counted

        return decorate

    def check(self) -> None:
        """Print what was reached, and fail where a kind was not reached often enough."""
        print(self)  # noqa: T201 - shown by pytest -rP
        unknown = {kind: times for kind, times in self.counts.items() if times and kind not in self.floors}
        assert not unknown, f"happens in this test, and no floor says how often it should: {unknown}"
        short = {kind: self.counts[kind] for kind, floor in self.floors.items() if self.counts[kind] < floor}
        assert not short, f"reached too seldom: {short}"

    def __str__(self) -> str:
        width = max(map(len, self.floors), default=0)
        lines = [f"{kind:{width}} {self.counts[kind]:7} (at least {floor})" for kind, floor in self.floors.items()]
        return "\n".join(lines)
