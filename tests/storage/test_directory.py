"""Accounts, channels and memberships as rows."""

from __future__ import annotations

import random

import pytest
from support import Clock, archive

from madang.core.models import LOBBY_ID, Member, UserKind
from madang.storage import accounts, directory, memberships, server_bans
from madang.storage.errors import NotUnique
from madang.storage.store import Store
from madang.storage.transaction import Transaction

from .conftest import Room


async def test_handles_are_unique_whatever_their_case(store: Store) -> None:
    def twice(transaction: Transaction) -> bool:
        accounts.add_user(transaction, "Mina", UserKind.GUEST)
        with pytest.raises(NotUnique):
            accounts.add_user(transaction, "mINA", UserKind.CLASSIC)
        return True

    assert await store.write(twice)
    found = await store.read(accounts.user_by_handle, "MINA")
    assert found is not None
    assert (found.handle, found.kind) == ("Mina", UserKind.GUEST)


async def test_ids_are_never_given_twice(store: Store) -> None:
    """Not even when the newest row is gone: SQLite would reuse its id without AUTOINCREMENT."""

    def make_and_lose(transaction: Transaction) -> int:
        user = accounts.add_user(transaction, "mina", UserKind.GUEST)
        transaction.connection.exec_driver_sql("DELETE FROM users")
        return user.user_id

    assert [await store.write(make_and_lose) for _ in range(3)] == [1, 2, 3]


async def test_channel_names_and_creation_keys_are_unique(store: Store) -> None:
    def make(transaction: Transaction, name: str, owner_id: int, request_id: bytes | None) -> bool:
        try:
            with transaction.connection.begin_nested():
                directory.create(transaction, name, "", owner_id, request_id)
        except NotUnique:
            return False
        return True

    assert await store.write(make, "kitchen", 1, b"k" * 16)
    assert not await store.write(make, "KITCHEN", 2, None)
    assert not await store.write(make, "hall", 1, b"k" * 16)
    assert await store.write(make, "hall", 2, b"k" * 16)
    assert await store.write(make, "cellar", 1, None)
    assert await store.write(make, "attic", 1, None)
    assert not await store.write(make, "Lobby", 1, None)


async def test_how_far_one_had_read_outlives_the_membership(store: Store, room: Room) -> None:
    channel_id = await room(1, 2)
    await store.write(memberships.set_read_through, channel_id, 2, 5)
    await store.write(memberships.remove, channel_id, 2)
    assert await store.read(memberships.get, channel_id, 2) is None
    assert channel_id not in await store.read(memberships.of_user, 2)
    again = await store.write(memberships.add, channel_id, 2)
    assert again.read_through == 5
    assert await store.read(memberships.get, channel_id, 2) == again


async def test_everyone_is_in_the_lobby_without_joining(store: Store) -> None:
    assert await store.read(memberships.get, LOBBY_ID, 9) == Member(LOBBY_ID, 9, None, 0)
    assert await store.read(memberships.of_user, 9) == {LOBBY_ID: Member(LOBBY_ID, 9, None, 0)}
    await store.write(memberships.set_read_through, LOBBY_ID, 9, 3)
    assert await store.read(memberships.get, LOBBY_ID, 9) == Member(LOBBY_ID, 9, None, 3)


async def test_the_places_of_many_pairs_at_once(store: Store, room: Room) -> None:
    """However the question is cut into pieces: every channel that there is, and every membership that was asked for."""
    rng = random.Random(3)
    rooms = [await room(*rng.sample(range(1, 61), 20), name=f"room-{number}") for number in range(12)]
    inside = {(channel_id, one) for channel_id in rooms for one in range(1, 61) if await is_in(store, channel_id, one)}
    assert len(inside) == 240
    everything = [(channel_id, user_id) for channel_id in (*rooms, LOBBY_ID, 99) for user_id in range(1, 61)]
    for count in (1, 2, 10, 100, len(everything)):
        pairs = set(rng.sample(everything, count))
        channels, seats, suspicious = await store.read(directory.places, pairs)
        assert not suspicious, "nobody is shut out"
        assert seats.keys() <= inside, "a membership that is none"
        assert seats.keys() & pairs == inside & pairs
        assert set(channels) == {channel_id for channel_id, _ in pairs} - {99}
        assert all(channel.channel_id == key for key, channel in channels.items())


async def is_in(store: Store, channel_id: int, user_id: int) -> bool:
    return await store.read(memberships.get, channel_id, user_id) is not None


async def test_who_left_has_no_place(store: Store, room: Room) -> None:
    hall = await room(2, 3)
    await store.write(memberships.remove, hall, 3)
    _, seats, _ = await store.read(directory.places, {(hall, 2), (hall, 3)})
    assert seats.keys() == {(hall, 2)}


async def test_members_page_by_page(store: Store, room: Room) -> None:
    for handle in ("a", "b", "c"):
        await store.write(accounts.add_user, handle, UserKind.GUEST)
    channel_id = await room(1, 2, 3)
    await store.write(memberships.remove, channel_id, 2)

    async def ids(of: int, after: int, size: int) -> list[int]:
        return [member.user_id for member, _ in await store.read(memberships.page, of, after, size)]

    assert await ids(channel_id, 0, 9) == [1, 3]
    assert await ids(channel_id, 1, 9) == [3]
    assert await ids(LOBBY_ID, 0, 2) == [1, 2]
    assert await ids(LOBBY_ID, 2, 2) == [3]


async def test_channels_page_by_page_with_the_callers_place(store: Store, room: Room) -> None:
    kitchen, hall = await room(1, 2), await room(2, name="hall")
    await store.write(archive, hall)

    async def page(user_id: int, after: int, joined_only: bool, archived: bool) -> list[tuple[int, bool]]:
        found = await store.read(directory.page, user_id, after, 9, joined_only, archived)
        return [(channel.channel_id, member is not None) for channel, member in found]

    assert await page(1, 0, False, False) == [(LOBBY_ID, True), (kitchen, True)]
    assert await page(1, 0, False, True) == [(LOBBY_ID, True), (kitchen, True), (hall, False)]
    assert await page(1, 0, True, True) == [(LOBBY_ID, True), (kitchen, True)]
    assert await page(2, kitchen, False, True) == [(hall, True)]
    assert await page(9, 0, True, True) == [(LOBBY_ID, True)]


async def test_who_is_shut_out(store: Store, room: Room, clock: Clock) -> None:
    """The question of every commit says whether to ask further: for the banned, their bots, and the deleted."""
    mina, joon, sora = [
        (await store.write(accounts.add_user, name, UserKind.PERSON)).user_id for name in ("a", "b", "c")
    ]
    robot = (await store.write(accounts.add_user, "robot", UserKind.BOT, owner_id=mina)).user_id
    channel_id = await room(mina, joon, sora, robot)

    async def out(*user_ids: int) -> dict[int, bool]:
        """Those of the users who are shut out, and whether by a ban; both questions agree."""
        _, _, suspicious = await store.read(directory.places, {(channel_id, user_id) for user_id in user_ids})
        found = await store.read(server_bans.shut_out, user_ids, clock.now)
        assert suspicious or not found
        return {user_id: ban is not None for user_id, ban in found.items()}

    assert await out(mina, joon, sora, robot) == {}
    await store.write(server_bans.put, mina, sora, "spam", clock.now + 1_000_000)
    await store.write(accounts.mark_deleted, joon)
    assert await out(sora) == {}
    assert await out(robot) == {robot: True}
    assert await out(mina, joon, sora, robot) == {mina: True, robot: True, joon: False}
    clock.pass_seconds(1)
    assert await out(mina, robot) == {}
    assert await store.write(server_bans.lift, mina)
