"""What is done to a cluster, and in which order: made from a seed before anything is done. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .kinds import Kind

TOGETHER = 0.2
"""How many of the steps are two faults at once."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault to come: `hold` in seconds, `seed` for everything else that is chosen at random in it."""

    kind: Kind
    hold: float
    seed: int


Step = tuple[Planned, ...]
"""One fault, or two of different parts at once."""


def plan(kinds: Sequence[Kind], faults: int, rng: random.Random, short: bool = False) -> list[Step]:
    """A row of steps with so many faults in all: every kind as often as any other, give or take one, in any order."""
    order: list[Kind] = []
    while len(order) < faults:
        order += rng.sample(kinds, len(kinds))
    left = [_planned(kind, rng, short) for kind in order[:faults]]
    steps: list[Step] = []
    while left:
        first = left.pop(0)
        other = next((each for each in left if each.kind.part != first.kind.part), None)
        if other is not None and rng.random() < TOGETHER:
            left.remove(other)
            steps.append((first, other))
        else:
            steps.append((first,))
    return steps


def _planned(kind: Kind, rng: random.Random, short: bool) -> Planned:
    return Planned(kind, rng.uniform(*(kind.short if short else kind.hold)), rng.randrange(2**32))
