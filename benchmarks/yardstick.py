"""How fast the machine is at this moment: a virtual one may run at half its speed while its neighbours are busy."""

from __future__ import annotations

import time

ROUNDS = 2_000_000


def yardstick() -> float:
    """Milliseconds that a plain loop in Python takes now; the best of three."""
    return min(_loop() for _ in range(3)) * 1000


def _loop() -> float:
    begin = time.perf_counter()
    total = 0
    for number in range(ROUNDS):
        total += number
    return time.perf_counter() - begin
