"""How long to wait before the next try: exponential, with full jitter. Pure: the dice are an argument.

Full jitter, because a crowd that lost the same server must not come back in step:
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf

FIRST = 0.1
"""The most that the first wait can be, in seconds."""
LIMIT = 15.0
"""The most that any wait can be, in seconds, unless the server asks for more."""
SHORT_LIMIT = 5.0
"""The same where there are several nodes, which share the crowd."""


class Backoff:
    """The waits of one row of failures."""

    def __init__(self, first: float = FIRST, limit: float = LIMIT, dice: Callable[[], float] = random.random) -> None:
        """`first`, `limit`: seconds, see above. `dice`: gives numbers from 0 to 1."""
        self._first = first
        self._limit = limit
        self._dice = dice
        self._tries = 0

    def next(self, retry_after: float | None = None, limit: float = inf) -> float:
        """How many seconds to wait now: the jitter, after `retry_after` where the server named one.

        `limit`: for this wait, where it is less than the one for all.
        """
        ceiling = min(self._limit, limit, self._first * 2.0 ** min(self._tries, 32))
        self._tries += 1
        return (retry_after or 0.0) + self._dice() * ceiling

    @property
    def is_fresh(self) -> bool:
        """Whether there was no failure yet in this row."""
        return self._tries == 0

    def reset(self) -> None:
        """Something worked: the next failure is a first one again."""
        self._tries = 0
