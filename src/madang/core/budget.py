"""How much of something may be had, and how soon: pure, in whole microseconds, with `now` passed in.

A `Rate` is a bucket of tokens: so many at once, then one for every interval. It is kept as GCRA keeps it, in a single
number for each key: the moment at which the bucket is full again
(https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm). A bucket that is full is like one that nobody has ever
used, so it is forgotten.

An `Allowance` is so many in any period of that length, to the letter: the times of the last ones are kept.

Both live in tables that forget what was used longest ago when they get too large: a million addresses cost as much
memory as `most` of them.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

SECOND = 1_000_000

MOST = 50_000
"""How many keys a table keeps, unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, then one every `interval` microseconds. Raises ValueError for what is not positive."""

    burst: int
    interval: int

    def __post_init__(self) -> None:
        if self.burst < 1 or self.interval < 1:
            raise ValueError(f"a burst of {self.burst} and then one every {self.interval} µs: both must be positive")

    @classmethod
    def of(cls, burst: int, a_second: float) -> Rate:
        """So many at once, then so many a second."""
        return cls(burst, round(SECOND / a_second))

    def __str__(self) -> str:
        return f"{self.burst}+{SECOND / self.interval:.9g}/s"

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read `5+2/s`: 5 at once, then 2 a second. Raises ValueError."""
        found = re.fullmatch(r"(\d{1,9})\+(\d{1,9}(?:\.\d{1,9})?)/s", text, re.ASCII)
        if found is None or float(found[2]) <= 0:
            raise ValueError(f"{text!r} is no rate: one such as 5+2/s is needed, 5 at once and then 2 a second")
        return cls.of(int(found[1]), float(found[2]))


@dataclass(frozen=True, slots=True)
class Allowance:
    """`count` in any `period` of microseconds. Raises ValueError for what is not positive."""

    count: int
    period: int

    def __post_init__(self) -> None:
        if self.count < 1 or self.period < 1:
            raise ValueError(f"{self.count} in {self.period} µs: both must be positive")

    def __str__(self) -> str:
        return f"{self.count}/{self.period / SECOND:.9g}s"

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """Read `5/900s`: 5 in any 900 seconds. Raises ValueError."""
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})s", text, re.ASCII)
        if found is None:
            raise ValueError(f"{text!r} is no allowance: one such as 5/900s is needed, 5 in any 900 seconds")
        return cls(int(found[1]), int(found[2]) * SECOND)


class Buckets:
    """A bucket for each key, all of one rate; or of the rate that a call names, which has to be the key's own."""

    def __init__(self, rate: Rate, most: int = MOST) -> None:
        self.rate = rate
        self._most = most
        self._full_at: OrderedDict[Hashable, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, now: int, count: int = 1, rate: Rate | None = None) -> int:
        """Take up to `count` tokens; how many there were."""
        rate = rate or self.rate
        interval = rate.interval
        missing = self._missing(key, now, rate)
        granted = min(count, (rate.burst * interval - missing) // interval)
        if granted > 0:
            self._keep(key, now, now + missing + granted * interval)
        return granted

    def wait(self, key: Hashable, now: int, count: int = 1, rate: Rate | None = None) -> int:
        """In how many microseconds there will be `count` tokens, if nobody takes any until then; 0: now.

        More than the burst there never are: it is the wait for that many then.
        """
        rate = rate or self.rate
        count = min(count, rate.burst)
        return max(0, self._missing(key, now, rate) - (rate.burst - count) * rate.interval)

    def _missing(self, key: Hashable, now: int, rate: Rate) -> int:
        """In how many microseconds the bucket is full. Never more than from empty: the clock may have gone back, or the
        rate become another one, and what is empty begins to fill from now on.
        """
        full_at = self._full_at.get(key)
        if full_at is None or full_at <= now:
            return 0
        self._full_at.move_to_end(key)  # also for who is refused: coming back often must not get it forgotten
        whole = rate.burst * rate.interval
        if full_at - now > whole:
            self._full_at[key] = now + whole
            return whole
        return full_at - now

    def _keep(self, key: Hashable, now: int, full_at: int) -> None:
        table = self._full_at
        if key not in table:
            _make_room(table, self._most, now)
        table[key] = full_at
        table.move_to_end(key)


class Allowances:
    """How often each key has done something in the last period."""

    def __init__(self, allowance: Allowance, most: int = MOST) -> None:
        self._allowance = allowance
        self._most = most
        self._times: OrderedDict[Hashable, list[int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def wait(self, key: Hashable, now: int) -> int:
        """In how many microseconds there may be another one; 0: now."""
        times = self._recent(key, now)
        count, period = self._allowance.count, self._allowance.period
        return 0 if len(times) < count else times[-count] + period - now

    def add(self, key: Hashable, now: int) -> None:
        """Note one. More than the allowance are not kept: the last ones say it all."""
        times = [*self._recent(key, now), now][-self._allowance.count :]
        if key not in self._times and len(self._times) >= self._most:
            self._times.popitem(last=False)
        self._times[key] = times
        self._times.move_to_end(key)

    def take_back(self, key: Hashable) -> None:
        """The latest one was none."""
        times = self._times.get(key)
        if times is not None and len(times) > 1:
            times.pop()
        else:
            self._times.pop(key, None)

    def clear(self, key: Hashable) -> None:
        """There was none."""
        self._times.pop(key, None)

    def _recent(self, key: Hashable, now: int) -> list[int]:
        """The times within the period; those of a clock that has gone back since are now."""
        times = self._times.get(key)
        if times is None:
            return []
        self._times.move_to_end(key)
        since = now - self._allowance.period
        recent = [min(time, now) for time in times if time > since]
        self._times[key] = recent
        return recent


def _make_room(table: OrderedDict[Hashable, int], most: int, now: int) -> None:
    """Forget the keys that were not used for longest: two that are full again, for each that comes; any, if it must."""
    for _ in range(2):
        oldest = next(iter(table), None)
        if oldest is None or table[oldest] > now:
            break
        del table[oldest]
    if len(table) >= most:
        table.popitem(last=False)
