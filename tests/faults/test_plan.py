"""The plan of a run: as many faults as were asked for, of every kind, and the same again for the same seed."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from .kinds import KINDS
from .plan import plan


@given(st.integers(1, 120), st.integers(), st.booleans())
def test_every_kind_comes_as_often_as_any_other(faults: int, seed: int, short: bool) -> None:
    steps = plan(KINDS, faults, random.Random(seed), short)
    planned = [each for step in steps for each in step]
    assert len(planned) == faults
    counts = Counter(each.kind.name for each in planned)
    assert {counts[kind.name] for kind in KINDS} <= {faults // len(KINDS), -(-faults // len(KINDS))}
    for each in planned:
        low, high = each.kind.short if short else each.kind.hold
        assert low <= each.hold <= high
    for step in steps:
        assert len({each.kind.part for each in step}) == len(step), "two at once are of different parts"
    alone = {step[0].kind.name for step in steps if len(step) == 1}
    assert alone >= {name for name, times in counts.items() if times > 1}, "what comes again is measured by itself"
    assert plan(KINDS, faults, random.Random(seed), short) == steps


def test_some_come_together() -> None:
    steps = plan(KINDS, 100, random.Random(1))
    assert 5 <= sum(len(step) == 2 for step in steps) <= 40


def test_kinds_have_names_of_their_own() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
