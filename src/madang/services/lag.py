"""How long a change takes from its commit to its readers, found by following a few changes all the way. Pure.

At most one change is followed at a time, and one begins at most every tenth of a second: so the price is a look at one
attribute for each batch that a reader takes. Of a change that is followed, every reader of its channel counts: in a
crowd it is the last ones that matter.
"""

from __future__ import annotations

from collections.abc import Callable

from madang.core.counting import Histogram

EVERY = 0.1
"""How far apart the changes begin that are followed, seconds."""

OVERDUE = 2.0
"""After how long nobody waits any more for the readers that are left, seconds: they are clients that do not read, or
this server is far behind."""


class LagProbe:
    """Follows changes. Times are seconds of any one clock; for a change of another node they begin with its arrival."""

    __slots__ = ("_awaited", "_readers", "_trace", "began", "channel_id", "overdue", "seconds", "through", "traced")

    def __init__(self) -> None:
        self.seconds = Histogram()
        """From the commit until a reader's write was done."""
        self.overdue = 0
        """How many readers did not have theirs after OVERDUE."""
        self.channel_id = 0
        """The channel of the change that is followed; 0: none is."""
        self.through = 0
        """The sequence that it reaches."""
        self.began = 0.0
        self.traced: Callable[[str, float, int], None] | None = None
        """Told of a change with a trace that has come to all of its readers: the trace, how long it took, how many."""
        self._awaited = 0
        self._readers = 0
        self._trace = ""

    def begin(self, channel_id: int, through: int, readers: int, now: float, trace: str = "") -> None:
        """A channel with so many readers has changed: follow that, if it is time for it, or if it has a trace."""
        if not readers or (now - self.began < (OVERDUE if self.channel_id else EVERY) and (not trace or self._trace)):
            return
        if now - self.began >= OVERDUE:
            self.overdue += self._awaited
        self._trace = trace
        self._readers = readers
        self.channel_id = channel_id
        self.through = through
        self.began = now
        self._awaited = readers

    def carries(self, channel_id: int, after: int, through: int) -> bool:
        """Whether a batch `(after, through]` carries the change that is followed."""
        return channel_id == self.channel_id and after < self.through <= through

    def delivered(self, began: float, now: float) -> None:
        """A batch that carried the change that began then has been written."""
        self.seconds.observe(now - began)
        if began == self.began and self._awaited:
            self._awaited -= 1
            if not self._awaited:
                self.channel_id = 0
                if self._trace and self.traced is not None:
                    self.traced(self._trace, now - began, self._readers)
                self._trace = ""
