"""Group commit: one order per channel without holes, one commit for what gathered, and failures that stay alone."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from support import archive, draft, eventually, held, opened, refused, sequences

from madang.core.errors import MadangError, Overloaded, ServerDraining, UserNotFound
from madang.core.events import Event, SessionEnded
from madang.core.models import LOBBY_ID, Changes, Draft, Message, User, UserKind
from madang.storage import accounts, messages, writer
from madang.storage.store import Store
from madang.storage.transaction import Transaction
from madang.storage.writer import MAX_GROUP, MAX_WAITING

from .conftest import Room


async def history(store: Store, channel_id: int) -> list[Message]:
    return (await store.read(messages.changed, channel_id, 0, 10**6, 2**40)).messages


def changes(groups: list[list[Event]], channel_id: int) -> list[Changes]:
    """The ranges that were told of a channel."""
    told = [event for group in groups for event in group]
    return [event for event in told if isinstance(event, Changes) and event.channel_id == channel_id]


async def test_a_crowd_that_sends_at_once_gets_one_order(store: Store, room: Room, groups: list[list[Event]]) -> None:
    people = range(1, 21)
    rooms = [await room(*people, name=f"room-{number}") for number in range(3)]
    rng = random.Random(7)

    async def talk(user_id: int) -> dict[int, list[int]]:
        own: dict[int, list[int]] = {channel_id: [] for channel_id in rooms}
        for number in range(10):
            drafts = [draft(rng.choice(rooms), user_id, f"{user_id}:{number}:{part}") for part in range(3)]
            for one in await store.append(drafts):
                assert isinstance(one, Message)
                own[one.channel_id].append(one.sequence)
        return own

    said = await asyncio.gather(*(talk(user_id) for user_id in people))
    for channel_id in rooms:
        stored = await history(store, channel_id)
        assert [message.sequence for message in stored] == list(range(1, len(stored) + 1))
        assert [message.version for message in stored] == [message.sequence for message in stored]
        assert sorted(sequence for own in said for sequence in own[channel_id]) == list(range(1, len(stored) + 1))
        assert all(own[channel_id] == sorted(own[channel_id]) for own in said), "somebody's own order was lost"
        told = changes(groups, channel_id)
        assert [message for range_ in told for message in range_.messages] == stored
        assert [range_.after for range_ in told] == [0, *(range_.through for range_ in told[:-1])]
        assert await store.read(messages.head, channel_id) == len(stored)
    assert sum(len(own[channel_id]) for own in said for channel_id in rooms) == 600


async def test_what_gathers_while_a_commit_runs_is_one_commit(store: Store, groups: list[list[Event]]) -> None:
    async with held(store):
        before = len(groups)
        waiting = [store.append([draft(text=str(number))]) for number in range(100)]
    stored = [(await one)[0] for one in waiting]
    assert sequences(stored) == list(range(1, 101))
    assert len(groups) == before + 2, "the operation that held the writer, and one commit"
    (range_,) = changes(groups, LOBBY_ID)
    assert (range_.after, range_.through, len(range_.messages)) == (0, 100, 100)


async def test_the_others_are_told_after_the_commit_and_before_the_sender(tmp_path: Path) -> None:
    seen: list[tuple[bool, int]] = []
    answers: list[asyncio.Future[list[Message | MadangError]]] = []

    async with opened(tmp_path, lambda events: seen.append((answers[0].done(), len(events)))) as store:
        answers.append(store.append([draft()]))
        await answers[0]
        assert seen == [(False, 1)]


async def test_while_readers_wait_anyway_more_gathers_for_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GATHER", 0.5)
    sizes: list[int] = []

    def committed(events: list[Event]) -> None:
        sizes.extend(len(event.messages) for event in events if isinstance(event, Changes))

    async with opened(tmp_path, committed, unhurried=lambda: True) as store:
        await store.append([draft()])
        waiting = []
        for _ in range(20):
            waiting.append(store.append([draft()]))
            await asyncio.sleep(0)
        assert sequences([message for one in waiting for message in await one]) == list(range(2, 22))
    assert sizes == [1, 20]


async def test_a_group_has_a_limit_and_the_order_is_kept_over_it(store: Store, groups: list[list[Event]]) -> None:
    large = "x" * 16_000
    lists = [[draft(text=large)] * 25 for _ in range(6)]
    async with held(store):
        waiting = [store.append(few) for few in lists]
    stored = [message for one in waiting for message in await one]
    assert sequences(stored) == list(range(1, 151))
    assert [len(range_.messages) for range_ in changes(groups, LOBBY_ID)] == [50, 50, 50], "two lists keep within a MiB"


async def test_a_list_larger_than_a_group_is_stored_whole(store: Store, groups: list[list[Event]]) -> None:
    count = MAX_GROUP // 16_000 + 1
    assert len(await store.append([draft(text="x" * 16_000)] * count)) == count
    assert len(changes(groups, LOBBY_ID)) == 1


async def test_too_much_is_refused_at_once_and_nothing_is_lost(store: Store) -> None:
    few = [draft(9, 1, text="x" * 16_000)] * 100  # of a channel that there is not: refused one by one, and so quickly
    waiting = []
    async with held(store):
        with refused(Overloaded, retry_after=1):
            while True:
                waiting.append(store.append(few))
                assert len(waiting) * 100 * 16_000 <= MAX_WAITING
    assert {reason for one in waiting for reason in sequences(await one)} == {"CHANNEL_NOT_FOUND"}
    assert sequences(await store.append([draft()])) == [1]


async def test_operations_and_drafts_are_stored_in_the_order_of_their_coming(store: Store, room: Room) -> None:
    """Whoever says good-bye and leaves is heard, however many wait."""
    channel_id = await room(1, 2)
    async with held(store):
        said = store.append([draft(channel_id, 2, text="good-bye")])
        archived = asyncio.create_task(store.write(archive, channel_id))
        await asyncio.sleep(0)
        late = store.append([draft(channel_id, 1, text="too late")])
    await archived
    assert [type(one) for one in await said] == [Message]
    assert sequences(await late) == ["CHANNEL_ARCHIVED"]


async def test_no_drafts_are_stored_at_once(store: Store) -> None:
    async with held(store):
        assert await store.append([]) == []


async def test_each_draft_is_judged_alone(store: Store, room: Room) -> None:
    """Who may not write is refused, and takes no number; the others of the same list are stored."""
    channel_id = await room(1, 2)
    drafts = [draft(channel_id, 1), draft(channel_id, 3), draft(99, 1), draft(channel_id, 2), draft(LOBBY_ID, 3)]
    assert sequences(await store.append(drafts)) == [1, "NOT_A_MEMBER", "CHANNEL_NOT_FOUND", 2, 1]


async def test_an_archived_channel_takes_no_drafts(store: Store, room: Room) -> None:
    channel_id = await room(1)
    await store.write(archive, channel_id)
    assert sequences(await store.append([draft(channel_id, 1)])) == ["CHANNEL_ARCHIVED"]


def add(transaction: Transaction, handle: str) -> User:
    transaction.events.append(SessionEnded(1, 1))
    return accounts.add_user(transaction, handle, UserKind.GUEST)


def add_and_fail(transaction: Transaction, handle: str) -> User:
    add(transaction, handle)
    raise UserNotFound(user=handle)


def add_and_break(transaction: Transaction, handle: str) -> User:
    add(transaction, handle)
    raise ZeroDivisionError


async def test_an_operation_that_fails_leaves_nothing_and_disturbs_nobody(
    store: Store, groups: list[list[Event]]
) -> None:
    async with held(store):
        first = asyncio.create_task(store.write(add, "mina"))
        failing = asyncio.create_task(store.write(add_and_fail, "hana"))
        last = asyncio.create_task(store.write(add, "jun"))
        appended = store.append([draft()])
        await asyncio.sleep(0)
    with refused(UserNotFound, user="hana"):
        await failing
    assert [(await first).handle, (await last).handle] == ["mina", "jun"]
    assert sequences(await appended) == [1]
    assert [user.handle for user in await store.read(accounts.users_page, 0, 9)] == ["mina", "jun"]
    assert len([event for event in groups[-1] if isinstance(event, SessionEnded)]) == 2


async def test_a_fault_in_an_operation_is_its_callers_and_leaves_nothing(
    store: Store, groups: list[list[Event]]
) -> None:
    with pytest.raises(ZeroDivisionError):
        await store.write(add_and_break, "mina")
    assert [event for group in groups for event in group] == []
    assert await store.read(accounts.users_page, 0, 9) == []
    assert (await store.write(add, "mina")).handle == "mina"


async def test_a_fault_in_an_operation_disturbs_nobody_else(store: Store) -> None:
    async with held(store):
        breaking = asyncio.create_task(store.write(add_and_break, "mina"))
        appended = store.append([draft()])
        await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        await breaking
    assert sequences(await appended) == [1]


async def test_a_caller_that_went_away_disturbs_nobody(store: Store) -> None:
    async with held(store):
        gone = asyncio.create_task(store.write(add, "mina"))
        cancelled = store.append([draft(text="cancelled")])
        appended = store.append([draft(text="kept")])
        await asyncio.sleep(0)
        gone.cancel()
        cancelled.cancel()
    assert sequences(await appended) == [2], "what was handed over is stored, whoever waits for it"
    await eventually(gone.done, "the caller has gone")


async def test_draining_stores_what_waits_and_takes_nothing_new(store: Store) -> None:
    async with held(store):
        waiting = store.append([draft(text="before")])
        store.drain()
        with refused(ServerDraining):
            store.append([draft(text="after")])
        with refused(ServerDraining):
            await store.write(add, "mina")
    assert sequences(await waiting) == [1]


async def test_a_message_has_the_time_of_its_commit(store: Store) -> None:
    (one,) = await store.append([draft()])
    assert isinstance(one, Message)
    assert one.created_at == 1_700_000_000_000_000


@pytest.mark.parametrize(
    "text", ["a\nb\tc", "한글 🏡", "'; drop table messages; --", "a" * 16_384], ids=lambda t: t[:5]
)
async def test_texts_come_back_as_they_were(store: Store, text: str) -> None:
    await store.append([Draft(LOBBY_ID, 1, draft().content, text)])
    assert [message.text for message in await history(store, LOBBY_ID)] == [text]
