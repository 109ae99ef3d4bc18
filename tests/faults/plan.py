"""What is done to a cluster, and in which order: made from a seed before anything is done. Pure."""

from __future__ import annotations

import random
from collections import Counter
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
    """A row of steps with so many faults in all: every kind as often as any other, give or take one, in any order.

    A kind that comes more than once comes alone at least once: how long a recovery takes is measured alone.
    """
    order: list[Kind] = []
    while len(order) < faults:
        order += rng.sample(kinds, len(kinds))
    left = [_planned(kind, rng, short) for kind in order[:faults]]
    times = Counter(planned.kind.name for planned in left)
    in_pairs: Counter[str] = Counter()

    def may_be_paired(planned: Planned) -> bool:
        name = planned.kind.name
        return times[name] == 1 or in_pairs[name] < times[name] - 1

    steps: list[Step] = []
    while left:
        first = left.pop(0)
        others = (each for each in left if each.kind.part != first.kind.part and may_be_paired(each))
        other = next(others, None)
        if other is not None and may_be_paired(first) and rng.random() < TOGETHER:
            left.remove(other)
            in_pairs.update(planned.kind.name for planned in (first, other))
            steps.append((first, other))
        else:
            steps.append((first,))
    return steps


def _planned(kind: Kind, rng: random.Random, short: bool) -> Planned:
    return Planned(kind, rng.uniform(*(kind.short if short else kind.hold)), rng.randrange(2**32))
