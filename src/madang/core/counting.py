"""Counting, pure and cheap: what the layers count for whoever operates a server. Nobody here knows who reads it.

A count is a plain number, a table of counts a `collections.Counter`; for what is measured there are histograms.
`madang.node.metrics` reads them all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Bounds for durations, from half a millisecond to ten seconds."""

SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
"""Bounds for how many there are of something."""

Tally = Counter[tuple[str, ...]]
"""Counts by the values of their labels."""


class Histogram:
    """How often a value fell between two bounds. `observe` takes well below a microsecond."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        """`bounds`: upper ones, each inclusive, ascending; there is one more, without a bound, above them."""
        self.bounds = tuple(bounds)
        self.sum = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """For each bound, as a text, how many values were at most that; the last one is `+Inf`."""
        total = 0
        rows: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self._counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows
