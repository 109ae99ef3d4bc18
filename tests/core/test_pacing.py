"""Taking turns: the first leaves at once, nobody waits for ever, the order is kept, and the rest is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.core.pacing import Turns

REST, SLACK = 0.001, 0.005
CROWD = st.integers(0, 2000)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 8)),
        st.tuples(st.just("wait"), st.floats(0, 3, allow_nan=False).map(lambda seconds: seconds)),
    ),
    max_size=60,
)


def take(turns: Turns, now: float, crowds: dict[int, int], taken: list[int]) -> None:
    """What the hub does: wake everyone whose turn it is."""
    while (channel_id := turns.next(now)) is not None:
        taken.append(channel_id)
        turns.woke(crowds.get(channel_id, 0), now)


@given(crowd=CROWD, now=st.floats(0, 1e6))
def test_the_first_after_a_quiet_moment_leaves_at_once(crowd: int, now: float) -> None:
    turns = Turns(REST, SLACK)
    turns.ask(1)
    assert turns.next(now) == 1
    turns.woke(crowd, now)
    later = now + crowd * REST + SLACK
    turns.ask(2)
    assert turns.next(later) == 2


@given(steps=STEPS, crowds=st.dictionaries(st.integers(1, 8), CROWD))
def test_turns_come_in_the_order_of_the_news_and_each_once(
    steps: list[tuple[str, float]], crowds: dict[int, int]
) -> None:
    turns, now = Turns(REST, SLACK), 100.0
    waiting: list[int] = []
    for kind, value in steps:
        if kind == "ask":
            turns.ask(int(value))
            if value not in waiting:
                waiting.append(int(value))
        else:
            now += value
        taken: list[int] = []
        take(turns, now, crowds, taken)
        assert taken == waiting[: len(taken)]
        del waiting[: len(taken)]
        assert (turns.due_at() is None) == (not waiting)


@given(steps=STEPS, crowds=st.dictionaries(st.integers(1, 8), CROWD))
def test_nobody_waits_longer_than_the_rests_before_it(steps: list[tuple[str, float]], crowds: dict[int, int]) -> None:
    """At the time that is named there is a turn; so whoever comes back at it each time serves everyone."""
    turns, now = Turns(REST, SLACK), 100.0
    woken = 0
    for kind, value in steps:
        if kind == "ask":
            turns.ask(int(value))
        else:
            now += value
        taken: list[int] = []
        take(turns, now, crowds, taken)
        woken += sum(crowds.get(channel_id, 0) for channel_id in taken)
        due = turns.due_at()
        if due is not None:
            assert now < due <= now + woken * REST
    waited = 0.0
    while (due := turns.due_at()) is not None:
        waited += max(0.0, due - now)
        now = max(now, due)
        before, taken = turns.due_at(), []
        take(turns, now, crowds, taken)
        assert taken, f"nobody's turn at {before}"
    assert waited <= (woken + sum(crowds.values())) * REST + 1e-6


@given(crowds=st.lists(st.integers(1, 500), min_size=1, max_size=40))
def test_the_fan_out_rests_in_proportion_to_the_readers_it_woke(crowds: list[int]) -> None:
    """Asked for without end, the fan-out gets no more than its share: n readers cost n rests, but for the slack."""
    turns, now = Turns(REST, SLACK), 100.0
    for crowd in crowds:
        turns.ask(1)
        due = turns.due_at()
        assert due is not None
        now = max(now, due)
        assert turns.next(now) == 1
        turns.woke(crowd, now)
    turns.ask(1)
    due = turns.due_at()
    assert due is not None
    assert due - 100.0 >= sum(crowds) * REST - SLACK - 1e-6
    assert due - 100.0 <= sum(crowds) * REST + 1e-6


@given(crowds=st.lists(st.integers(6, 500), min_size=1, max_size=40), late=st.floats(0, 0.004))
def test_timers_that_tick_late_do_not_add_up(crowds: list[int], late: float) -> None:
    """What a timer was late by is taken off the next rest, as long as it is less than the slack."""
    turns, now = Turns(REST, SLACK), 100.0
    for crowd in crowds:
        turns.ask(1)
        due = turns.due_at()
        assert due is not None
        now = max(now, due) + late
        assert turns.next(now) == 1
        turns.woke(crowd, now)
    turns.ask(1)
    due = turns.due_at()
    assert due is not None
    assert due - 100.0 <= sum(crowds) * REST + late + 1e-6


@given(idle=st.floats(SLACK, 1e6), crowd=st.integers(1, 500))
def test_a_quiet_time_is_not_saved_up(idle: float, crowd: int) -> None:
    """However long nobody was woken, the next crowd is followed by its rest, but for the slack."""
    turns, now = Turns(REST, SLACK), 100.0 + idle
    turns.ask(1)
    assert turns.next(now) == 1
    turns.woke(crowd, now)
    turns.ask(1)
    due = turns.due_at()
    assert due is not None
    assert due >= now + crowd * REST - SLACK - 1e-6


def test_asking_again_while_one_waits_changes_nothing() -> None:
    turns = Turns(REST, SLACK)
    for channel_id in (1, 2, 1, 1):
        turns.ask(channel_id)
    assert [turns.next(9.0), turns.next(9.0), turns.next(9.0)] == [1, 2, None]


def test_a_channel_that_had_its_turn_may_ask_again() -> None:
    turns = Turns(REST, SLACK)
    turns.ask(1)
    assert turns.next(9.0) == 1
    turns.ask(1)
    assert turns.next(9.0) == 1


@pytest.mark.parametrize("readers", [1, 100, 10_000])
def test_without_a_rest_nobody_waits(readers: int) -> None:
    turns = Turns(0.0)
    for _ in range(10):
        turns.ask(1)
        assert turns.next(5.0) == 1
        turns.woke(readers, 5.0)
