"""The rule of positions, held against a reader that keeps every sequence it was shown."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from madang.core.positions import Position, Verdict

SEQUENCE = st.integers(0, 40)
RANGE = st.tuples(SEQUENCE, SEQUENCE).map(lambda pair: (min(pair), max(pair)))


@given(start=SEQUENCE, ranges=st.lists(RANGE, max_size=60))
def test_whatever_comes_is_seen_once_in_order_without_holes(start: int, ranges: list[tuple[int, int]]) -> None:
    position = Position(start)
    seen: list[int] = []
    for after, through in ranges:
        if position.take(after, through) is Verdict.APPLY:
            seen.extend(range(after + 1, through + 1))
    assert seen == list(range(start + 1, position.sequence + 1))


@given(start=SEQUENCE, offered=RANGE)
def test_the_three_verdicts(start: int, offered: tuple[int, int]) -> None:
    after, through = offered
    verdict = Position(start).judge(after, through)
    if verdict is Verdict.APPLY:
        assert after == start
    elif verdict is Verdict.IGNORE:
        assert through <= start, "what is ignored is known already"
    else:
        assert through > start, "a gap is only in what is not known yet"
        assert after != start


@given(start=SEQUENCE, offered=RANGE)
def test_judging_does_not_move_and_taking_never_goes_back(start: int, offered: tuple[int, int]) -> None:
    position = Position(start)
    verdict = position.judge(*offered)
    assert position.sequence == start
    assert position.take(*offered) is verdict
    assert position.sequence == (offered[1] if verdict is Verdict.APPLY else start)
    assert position.sequence >= start


@given(
    head=st.integers(1, 30),
    cuts=st.sets(st.integers(1, 29)),
    noise=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=80),
)
def test_a_reader_that_asks_again_at_a_gap_ends_at_the_head(
    head: int, cuts: set[int], noise: list[tuple[int, int]]
) -> None:
    """Ranges are dropped, repeated and reordered at will; the store answers whoever asks from a position."""
    edges = [0, *sorted(cut for cut in cuts if cut < head), head]
    ranges = list(pairwise(edges))
    position = Position(0)
    seen: list[int] = []

    def take(after: int, through: int) -> None:
        verdict = position.take(after, through)
        if verdict is Verdict.GAP:
            after = position.sequence
            verdict = position.take(after, head)  # from the store
            through = head
        if verdict is Verdict.APPLY:
            seen.extend(range(after + 1, through + 1))

    for _, index in noise:
        take(*ranges[index % len(ranges)])
    take(*ranges[-1])
    assert position.sequence == head
    assert seen == list(range(1, head + 1))


def test_a_range_in_reverse_is_never_applied() -> None:
    assert Position(5).take(5, 3) is Verdict.IGNORE
