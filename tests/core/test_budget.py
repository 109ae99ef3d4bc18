"""Budgets: never more than the rate allows, never less, whatever the clock does, and in bounded memory."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.core.budget import Allowance, Allowances, Buckets, Rate

rates = st.builds(Rate, st.integers(1, 50), st.integers(1, 1000))
allowances = st.builds(Allowance, st.integers(1, 10), st.integers(1, 1000))
asks = st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 60)), max_size=60)
"""How much time passes, and how many are asked for then."""


@given(rates, asks)
def test_never_more_than_the_rate_and_never_less(rate: Rate, asked: list[tuple[int, int]]) -> None:
    """Held against a bucket that is filled drop by drop: in µs of credit, as exact as whole numbers are."""
    buckets, now, credit = Buckets(rate), 0, rate.burst * rate.interval
    for passed, count in asked:
        now += passed
        credit = min(rate.burst * rate.interval, credit + passed)
        wanted = min(count, credit // rate.interval)
        assert buckets.take("key", now, count) == wanted
        credit -= wanted * rate.interval


@given(rates, asks, st.integers(1, 50))
def test_the_wait_is_true(rate: Rate, asked: list[tuple[int, int]], count: int) -> None:
    """After exactly that long there is enough; a microsecond earlier there is not."""
    buckets, now, count = Buckets(rate), 0, min(count, rate.burst)
    for passed, taken in asked:
        now += passed
        buckets.take("key", now, taken)
    wait = buckets.wait("key", now, count)
    if wait:
        early = Buckets(rate)
        early._full_at.update(buckets._full_at)
        assert early.take("key", now + wait - 1, count) < count
    assert buckets.take("key", now + wait, count) == count


@given(rates, st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(1, 60)), max_size=60))
def test_a_clock_that_jumps(rate: Rate, asked: list[tuple[int, int]]) -> None:
    """It never shuts anyone out for longer than an empty bucket does, and gives no more than what it went forward."""
    buckets, now, forward, granted = Buckets(rate), 0, 0, 0
    for jump, count in asked:
        now += jump
        forward += max(0, jump)
        granted += buckets.take("key", now, count)
        assert buckets.wait("key", now) <= rate.interval
        assert granted <= rate.burst + forward // rate.interval
    assert buckets.take("key", now + buckets.wait("key", now)) == 1, "what is told is true"


@given(rates, st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 500), st.integers(1, 5)), max_size=100))
def test_forgetting_what_is_full_changes_nothing(rate: Rate, asked: list[tuple[str, int, int]]) -> None:
    """Three keys in one table get what each would get in a table of its own."""
    shared, own, now = Buckets(rate), {key: Buckets(rate) for key in "abc"}, 0
    for key, passed, count in asked:
        now += passed
        assert shared.take(key, now, count) == own[key].take(key, now, count)


def test_a_million_addresses_cost_as_much_as_a_thousand() -> None:
    buckets = Buckets(Rate(5, 1_000_000), most=1000)
    for key in range(1_000_000):
        assert buckets.take(key, key, 1) == 1
    assert len(buckets) == 1000


def test_who_is_still_there_is_not_forgotten_for_who_comes_once() -> None:
    """A flood of addresses that each come once does not give a busy one its budget back."""
    buckets = Buckets(Rate(5, 10**9), most=100)
    taken = sum(buckets.take("busy", now, 1) for now in range(10_000) if [buckets.take(now, now, 1)])
    assert taken == 5


def test_full_buckets_are_forgotten_without_a_flood() -> None:
    buckets = Buckets(Rate(1, 10))
    for key in range(10_000):
        buckets.take(key, key * 100)
    assert len(buckets) <= 2


def test_a_rate_of_its_own() -> None:
    buckets = Buckets(Rate(5, 1000))
    assert buckets.take("bot", 0, 100, Rate(50, 10)) == 50
    assert buckets.take("bot", 10, 100, Rate(50, 10)) == 1
    assert buckets.wait("bot", 10, 1, Rate(50, 10)) == 10
    assert buckets.take("bot", 10, 5) == 4, "a smaller rate from now on: 500 µs are missing of 5,000"
    assert buckets.wait("bot", 10) == 500


def test_an_empty_one_fills_as_its_new_rate_says() -> None:
    buckets = Buckets(Rate(5, 10**9))
    assert buckets.take("bot", 0, 5) == 5
    assert buckets.take("bot", 1, 1, Rate(100, 10)) == 0
    assert buckets.take("bot", 51, 100, Rate(100, 10)) == 5


@given(allowances, st.lists(st.integers(0, 1500), max_size=60))
def test_never_more_than_the_allowance_in_any_period(allowance: Allowance, passes: list[int]) -> None:
    table, now = Allowances(allowance), 0
    times: list[int] = []
    for passed in passes:
        now += passed
        recent = sum(time > now - allowance.period for time in times)
        assert (table.wait("key", now) == 0) == (recent < allowance.count)
        if not table.wait("key", now):
            table.add("key", now)
            times.append(now)
    wait = table.wait("key", now)
    assert wait == 0 or table.wait("key", now + wait - 1) == 1
    assert table.wait("key", now + wait) == 0


@given(allowances, st.lists(st.integers(-(10**12), 10**12), max_size=40))
def test_an_allowance_when_the_clock_jumps(allowance: Allowance, jumps: list[int]) -> None:
    table, now = Allowances(allowance), 0
    for jump in jumps:
        now += jump
        wait = table.wait("key", now)
        assert 0 <= wait <= allowance.period
        if wait:
            now += wait
            assert table.wait("key", now) == 0, "what is told is true"
        table.add("key", now)


def test_an_allowance_given_back() -> None:
    table = Allowances(Allowance(2, 100))
    for now in (0, 1):
        table.add("key", now)
    assert table.wait("key", 1) == 99
    table.take_back("key")
    assert table.wait("key", 1) == 0
    table.take_back("key")
    table.take_back("key")
    assert len(table) == 0


def test_allowances_are_bounded() -> None:
    table = Allowances(Allowance(3, 10**12), most=100)
    for now in range(10_000):
        table.add(now, now)
        for _ in range(10):
            table.add("busy", now)
    assert len(table) == 100
    assert Counter(len(times) for times in table._times.values()) == {1: 99, 3: 1}


@pytest.mark.parametrize("kind", [Rate, Allowance])
@pytest.mark.parametrize("values", [(0, 1), (1, 0), (-1, 1)])
def test_nonsense(kind: type[Rate | Allowance], values: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        kind(*values)
