"""Once: a request_id is good for one message, whenever, however and from wherever it comes again."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts.postgres import Databases
from support import Where, archive, draft, held, opened, sequences

from madang.core.errors import MadangError, RequestIdReused
from madang.core.events import Event, HeadKnown
from madang.core.models import LOBBY_ID, Changes, Draft, Message
from madang.storage import directory, memberships, messages
from madang.storage.store import Store
from madang.storage.transaction import Transaction

from .conftest import Open, Room

KEY = uuid.UUID(int=1).bytes
OTHER = uuid.UUID(int=2).bytes


async def count(store: Store, channel_id: int = LOBBY_ID) -> int:
    return len((await store.read(messages.changed, channel_id, 0, 10**6, 2**40)).messages)


async def test_a_repeat_in_a_later_commit(store: Store) -> None:
    first = await store.append([draft(request_id=KEY)])
    assert await store.append([draft(request_id=KEY)]) == first
    assert await count(store) == 1


async def test_a_repeat_in_the_same_list(store: Store) -> None:
    first, second, third = await store.append([draft(request_id=KEY), draft(), draft(request_id=KEY)])
    assert (first, sequences([second])) == (third, [2])
    assert await count(store) == 2


async def test_a_repeat_in_the_same_group(store: Store) -> None:
    async with held(store):
        one, other = store.append([draft(request_id=KEY)]), store.append([draft(request_id=KEY)])
    assert await one == await other
    assert await count(store) == 1


async def test_repeats_among_new_ones_leave_no_holes(store: Store, groups: list[list[Event]]) -> None:
    """The group is run again when a repeat is found; nothing of the first run is told or stored."""
    await store.append([draft(text="old", request_id=KEY)])
    async with held(store):
        lists = [
            store.append([draft(text="a", request_id=OTHER)]),
            store.append([draft(text="old", request_id=KEY), draft(text="b")]),
            store.append([draft(text="a", request_id=OTHER)]),
        ]
    assert [sequences(await one) for one in lists] == [[2], [1, 3], [2]]
    ranges = [event for group in groups for event in group if isinstance(event, Changes)]
    assert [(range_.after, range_.through) for range_ in ranges] == [(0, 1), (1, 3)]
    assert [message.text for message in ranges[1].messages] == ["a", "b"]
    assert await count(store) == 3


async def test_a_repeat_alone_tells_only_how_far_the_channel_goes(store: Store, groups: list[list[Event]]) -> None:
    """Maybe nobody was told the first time: whoever has missed it learns that there is something to be asked for."""
    await store.append([draft(request_id=KEY), draft()])
    told = len([event for group in groups for event in group])
    await store.append([draft(request_id=KEY), draft(request_id=KEY)])
    assert [event for group in groups for event in group][told:] == [HeadKnown(LOBBY_ID, 1)]


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_key_is_not_good_for_something_else(store: Store, room: Room, at_once: bool) -> None:
    channel_id = await room(1)
    first, *others = [
        draft(channel_id, 1, "hello", KEY),
        draft(channel_id, 1, "other words", KEY),
        draft(LOBBY_ID, 1, "hello", KEY),
        draft(404, 1, "hello", KEY),
    ]
    if at_once:
        stored, *refused = await store.append([first, *others])
    else:
        (stored,) = await store.append([first])
        refused = await store.append(others)
    assert sequences([stored]) == [1]
    assert sequences(refused) == ["REQUEST_ID_REUSED"] * 3
    assert isinstance(refused[0], RequestIdReused)
    assert refused[0].facts["request_id"] == str(uuid.UUID(bytes=KEY))
    assert (await count(store, channel_id), await count(store)) == (1, 0)


async def test_keys_are_each_authors_own(store: Store) -> None:
    stored = await store.append([draft(author_id=1, request_id=KEY), draft(author_id=2, request_id=KEY)])
    assert sequences(stored) == [1, 2]
    assert sequences(await store.append([draft(author_id=2, request_id=KEY)])) == [2]


async def test_without_a_key_a_repeat_is_a_new_message(store: Store) -> None:
    assert sequences(await store.append([draft(), draft()])) == [1, 2]


def leave(transaction: Transaction, channel_id: int) -> None:
    memberships.remove(transaction, channel_id, 1)


@pytest.mark.parametrize(("change", "reason"), [(archive, "CHANNEL_ARCHIVED"), (leave, "NOT_A_MEMBER")])
async def test_the_first_result_stands_whatever_became_of_the_channel(
    store: Store, room: Room, change: Callable[[Transaction, int], None], reason: str
) -> None:
    channel_id = await room(1)
    first = await store.append([draft(channel_id, 1, request_id=KEY)])
    await store.write(change, channel_id)
    assert await store.append([draft(channel_id, 1, request_id=KEY)]) == first
    again, reused, new = await store.append(
        [
            draft(channel_id, 1, request_id=KEY),
            draft(channel_id, 1, "other", KEY),
            draft(channel_id, 1, request_id=OTHER),
        ]
    )
    assert [again] == first
    assert sequences([reused, new]) == ["REQUEST_ID_REUSED", reason]


async def test_a_key_that_was_refused_can_still_be_used(store: Store, room: Room) -> None:
    channel_id = await room(1)
    assert sequences(await store.append([draft(channel_id, 2, request_id=KEY)])) == ["NOT_A_MEMBER"]
    await store.write(memberships.add, channel_id, 2)
    assert sequences(await store.append([draft(channel_id, 2, request_id=KEY)])) == [1]


async def test_a_repeat_after_a_restart(open_again: Open) -> None:
    async with open_again() as store:
        first = await store.append([draft(request_id=KEY)])
    async with open_again() as store:
        assert await store.append([draft(request_id=KEY)]) == first
        assert sequences(await store.append([draft()])) == [2]


DRAFTS = st.builds(
    draft,
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2]),
    st.sampled_from(["a", "b"]),
    st.none() | st.sampled_from([uuid.UUID(int=number).bytes for number in range(5)]),
)


class Model:
    """The promise itself: the first draft with a key decides, for ever. Channel 3 does not exist, 2 is not 2's."""

    def __init__(self) -> None:
        self.heads = {1: 0, 2: 0}
        self.first: dict[tuple[int, bytes], tuple[Draft, int]] = {}

    def append(self, one: Draft) -> int | str:
        key = None if one.request_id is None else (one.author_id, one.request_id)
        if key in self.first:
            known, sequence = self.first[key]
            return sequence if known == one else "REQUEST_ID_REUSED"
        if one.channel_id not in self.heads:
            return "CHANNEL_NOT_FOUND"
        if (one.channel_id, one.author_id) == (2, 2):
            return "NOT_A_MEMBER"
        self.heads[one.channel_id] += 1
        if key is not None:
            self.first[key] = (one, self.heads[one.channel_id])
        return self.heads[one.channel_id]


GROUPS = st.lists(st.lists(st.lists(DRAFTS, min_size=1, max_size=4), min_size=1, max_size=4), max_size=5)


@settings(max_examples=40)
@given(groups=GROUPS)
def test_any_mixture_in_any_grouping_is_as_the_promise_says(groups: list[list[list[Draft]]]) -> None:
    with tempfile.TemporaryDirectory() as path:
        asyncio.run(play(Path(path), groups))


@settings(max_examples=15)
@given(groups=GROUPS)
def test_it_is_so_on_postgresql_too(databases: Databases, groups: list[list[list[Draft]]]) -> None:
    async def run() -> None:
        async with databases.migrated() as url:
            await play(url, groups)

    asyncio.run(run())


async def play(where: Where, groups: list[list[list[Draft]]]) -> None:
    """Store the groups, and hold what comes of it against the model."""
    model = Model()
    async with opened(where) as store:
        channel = await store.write(directory.create, "kitchen", "", 1, None)
        assert channel.channel_id == 2
        await store.write(memberships.add, 2, 1)
        for lists in groups:
            async with held(store):
                waiting: list[asyncio.Future[list[Message | MadangError]]] = [store.append(few) for few in lists]
            for few, answer in zip(lists, waiting, strict=True):
                assert sequences(await answer) == [model.append(one) for one in few]
        for channel_id, head in model.heads.items():
            assert await count(store, channel_id) == head
            assert await store.read(messages.head, channel_id) == head
