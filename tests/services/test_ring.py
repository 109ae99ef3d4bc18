"""The ring, held against a list of everything that was ever appended."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.core.models import Content, Message
from madang.services.ring import MAX_BATCH_BYTES, MAX_JOINED, Ring
from madang.v1 import channel_service_pb2 as pb
from madang.wire.batches import encode_segment

CHANNEL = 7
SMALL = 3_000


def segment(after: int, through: int, size: int = 10) -> bytes:
    """The messages of `(after, through]`, each with its sequence as its text, and as long as asked."""
    return encode_segment(
        Message(CHANNEL, number, number, 1, 0, Content.TEXT, f"{number}".ljust(size))
        for number in range(after + 1, through + 1)
    )


@dataclass
class Commit:
    """One segment as it was made."""

    after: int
    through: int
    encoded: bytes


@st.composite
def histories(draw: st.DrawFn) -> list[Commit]:
    """Commits in order, some small, some large."""
    commits, head = [], draw(st.integers(0, 5))
    for count, size in draw(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([1, 50, 400])), max_size=40)):
        commits.append(Commit(head, head + count, segment(head, head + count, size)))
        head += count
    return commits


def sequences(encoded: bytes, position: int, through: int) -> list[int]:
    """What is in a batch, whose range has to be as the ring says."""
    (batch,) = pb.SubscribeResponse.FromString(encoded).batches
    assert (batch.channel_id, batch.after, batch.through) == (CHANNEL, position, through)
    assert [message.text.strip() for message in batch.messages] == [f"{one.sequence}" for one in batch.messages]
    return [message.sequence for message in batch.messages]


def check(ring: Ring, position: int) -> None:
    """Whatever the ring gives for a position is complete, and ends at the head or at the limit."""
    found = ring.batch(position)
    if found is not None:
        encoded, through = found
        assert position < through <= ring.head
        assert sequences(encoded, position, through) == list(range(position + 1, through + 1))


@given(commits=histories(), lost=st.sets(st.integers(0, 39)), again=st.lists(st.integers(0, 39), max_size=10))
def test_whatever_is_lost_or_repeated_the_ring_gives_complete_ranges(
    commits: list[Commit], lost: set[int], again: list[int]
) -> None:
    ring = Ring(CHANNEL, commits[0].after if commits else 0, SMALL)
    head = ring.head
    for index, commit in enumerate(commits):
        if index not in lost:
            news = ring.append(commit.after, commit.through, commit.encoded)
            assert news
            head = commit.through
        for old in again:
            if old <= index and old not in lost and commits[old].through <= head:
                assert not ring.append(commits[old].after, commits[old].through, commits[old].encoded)
        assert ring.head == head, "the head is the newest that was heard of"
        for position in range(head + 2):
            check(ring, position)


@given(commits=histories())
def test_without_losses_the_newest_is_always_there_and_everything_while_it_fits(commits: list[Commit]) -> None:
    ring = Ring(CHANNEL, commits[0].after if commits else 0, SMALL)
    size = 0
    for count, commit in enumerate(commits, 1):
        ring.append(commit.after, commit.through, commit.encoded)
        size += len(commit.encoded)
        assert ring.batch(commit.after) is not None
        assert ring.batch(commit.through) is None, "there is nothing after the head"
        if size <= SMALL:
            assert all(ring.batch(one.after) is not None for one in commits[:count])


@given(commits=histories())
def test_the_segments_are_bounded_in_bytes(commits: list[Commit]) -> None:
    ring = Ring(CHANNEL, commits[0].after if commits else 0, SMALL)
    for count, commit in enumerate(commits, 1):
        ring.append(commit.after, commit.through, commit.encoded)
        kept = [one for one in commits[:count] if ring.batch(one.after) is not None]
        assert kept == commits[count - len(kept) : count], "the newest without a hole"
        assert sum(len(one.encoded) for one in kept) <= SMALL or len(kept) == 1


@given(commits=histories(), forget_at=st.sets(st.integers(0, 39)))
def test_what_was_there_at_two_looks_is_forgotten_and_nothing_newer(commits: list[Commit], forget_at: set[int]) -> None:
    ring = Ring(CHANNEL, commits[0].after if commits else 0)
    seen: list[Commit] = []
    kept: list[Commit] = []
    for index, commit in enumerate(commits):
        ring.append(commit.after, commit.through, commit.encoded)
        kept.append(commit)
        if index in forget_at:
            ring.forget_old()
            kept = [one for one in kept if one not in seen]
            seen = list(kept)
        assert [one for one in commits[: index + 1] if ring.batch(one.after) is not None] == kept
        assert ring.head == commit.through, "forgetting does not move the head"


def test_a_gap_is_news_and_leaves_what_is_before_it_to_the_store() -> None:
    ring = Ring(CHANNEL, 0)
    assert ring.append(0, 2, segment(0, 2))
    assert ring.append(5, 6, segment(5, 6))
    assert ring.head == 6
    assert ring.batch(0) is None
    assert ring.batch(5) is None, "the ring cannot know that its segment was not the gap's own"
    assert ring.append(6, 7, segment(6, 7))
    assert ring.batch(6) is not None


def test_a_head_that_the_store_tells_of_is_news_only_when_it_is_new() -> None:
    ring = Ring(CHANNEL, 3)
    assert not ring.advance(3)
    assert not ring.advance(2)
    assert ring.advance(5)
    assert ring.head == 5
    assert not ring.append(3, 5, segment(3, 5)), "what comes late is known from the store"


def test_a_position_within_a_segment_is_left_to_the_store() -> None:
    ring = Ring(CHANNEL, 0)
    ring.append(0, 4, segment(0, 4))
    assert [ring.batch(position) is not None for position in range(5)] == [True, False, False, False, False]


def test_readers_at_one_position_get_the_same_bytes_until_there_is_more() -> None:
    ring = Ring(CHANNEL, 0)
    ring.append(0, 1, segment(0, 1))
    first = ring.batch(0)
    assert ring.batch(0) is first
    ring.append(1, 2, segment(1, 2))
    second = ring.batch(0)
    assert second is not None
    assert sequences(second[0], 0, 2) == [1, 2]


def test_a_batch_is_bounded_but_holds_a_segment_at_least() -> None:
    half = MAX_BATCH_BYTES // 2
    ring = Ring(CHANNEL, 0, 10 * MAX_BATCH_BYTES)
    for number in range(6):
        ring.append(number, number + 1, segment(number, number + 1, half + 1))
    ring.append(6, 7, segment(6, 7, 3 * half))
    reaches = {}
    for position in range(7):
        found = ring.batch(position)
        assert found is not None
        reaches[position] = found[1]
    assert reaches == {position: position + 1 for position in range(7)}


def test_an_empty_range_is_no_news() -> None:
    ring = Ring(CHANNEL, 4)
    assert not ring.append(4, 4, b"")
    assert ring.batch(4) is None


def test_what_is_kept_does_not_grow_with_the_positions_of_the_readers() -> None:
    ring = Ring(CHANNEL, 0)
    for number in range(3_000):
        ring.append(number, number + 1, segment(number, number + 1, 1_000))
    tracemalloc.start()
    try:
        for position in range(300, 600):
            assert ring.batch(position) is not None
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < (MAX_JOINED + 1) * MAX_BATCH_BYTES, "more than is joined for a few positions"


@pytest.mark.parametrize("count", [1, 3])
def test_one_segment_may_be_larger_than_the_ring(count: int) -> None:
    """A commit is kept whole while it is the newest; it goes when the next one comes."""
    ring = Ring(CHANNEL, 0, SMALL)
    for number in range(count):
        ring.append(number, number + 1, segment(number, number + 1, SMALL * 2))
    assert [ring.batch(number) is not None for number in range(count)] == [False] * (count - 1) + [True]
