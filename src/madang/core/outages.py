"""Which failures of something that is tried again and again are worth a line in the log.

The first one is, then one a minute, and the end of it: whoever reads the log sees when it began and how long it lasted,
and not a thousand times the same.
"""

from __future__ import annotations

AGAIN = 60.0
"""How far apart the lines of one outage are, seconds."""
REST = 10.0
"""How long after it was told that something failed it is not told of another such outage, seconds: where it works and
fails by turns, nobody needs every turn.
"""


class Outage:
    """Of one thing that works, or does not. Times are seconds of any clock that does not jump."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._told_at = -AGAIN
        self._told = False

    def failed(self, now: float) -> str | None:
        """It failed. What to add to the line that tells of it: nothing, or for how long it has failed by now; None when
        no line is due.
        """
        first = self._began is None
        if self._began is None:
            self._began, self._told = now, False
        if now - self._told_at < (AGAIN if self._told else REST):
            return None
        self._told, self._told_at = True, now
        return "" if first else f" ({lasted(now - self._began)} now)"

    def worked(self, now: float) -> str | None:
        """It worked. How long it had not, for a line; None when nobody was told that it failed."""
        began, self._began = self._began, None
        return None if began is None or not self._told else lasted(now - began)


def lasted(seconds: float) -> str:
    """A span as it stands in the log: "for 12 s", "for 3 min", "for 5 h 20 min"."""
    if seconds < 120:
        return f"for {seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"for {minutes} min" if minutes < 120 else f"for {minutes // 60} h {minutes % 60} min"
