"""The time of day, in the one unit that everything here uses."""

from __future__ import annotations

import time


def now_micros() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000
