"""Two nodes over one PostgreSQL database, without a bus between them: what holds for one server holds for both."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import asyncpg
import pytest
from parts.postgres import fetch
from support import PATIENCE, Parts, draft, parts, sequences, subscribed

from madang.core.errors import CodeInvalid, HandleTaken, LastOwner, LimitReached, MadangError, NotAMember
from madang.core.limits import Limits
from madang.core.models import LOBBY_ID, Actor, ChannelRole, Content, Draft, ServerRole
from madang.services.lobby import LobbyService
from madang.services.making import ChannelUpdate
from madang.storage import accounts, memberships

from .people import PASSWORD, acts, owner, person

Nodes = tuple[Parts, Parts]


@pytest.fixture
async def nodes(database: str) -> AsyncIterator[Nodes]:
    """The services of two nodes."""
    async with parts(database) as one, parts(database) as other:
        yield one, other


async def at_once(*asked: Awaitable[Any]) -> list[Any]:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(*asked, return_exceptions=True)


def kinds(results: list[Any]) -> dict[str, int]:
    """How many of each error, and how many that are none."""
    names = [type(one).__name__ if isinstance(one, Exception) else "done" for one in results]
    return {name: names.count(name) for name in names}


async def test_an_invite_is_used_once(nodes: Nodes) -> None:
    hana = await owner(nodes[0])
    for round_ in range(3):
        code, _ = await nodes[round_ % 2].front.admin.create_invite(acts(hana), ServerRole.MEMBER, 1, 0, "")
        asked = [nodes[n % 2].front.accounts.register(f"mina{round_}{n}", PASSWORD, code) for n in range(6)]
        assert kinds(await at_once(*asked)) == {"done": 1, CodeInvalid.__name__: 5}


async def test_a_handle_is_given_once(nodes: Nodes) -> None:
    hana = await owner(nodes[0])
    code, _ = await nodes[0].front.admin.create_invite(acts(hana), ServerRole.MEMBER, 9, 0, "")
    asked = [own.front.accounts.register(wish, PASSWORD, code) for own in nodes for wish in ("Straße", "STRASSE")]
    assert kinds(await at_once(*asked)) == {"done": 1, HandleTaken.__name__: 3}


async def test_the_last_owner_of_the_server_stays(nodes: Nodes) -> None:
    for _ in range(4):
        owners = await nodes[0].people(ServerRole.OWNER, ServerRole.OWNER)
        one, other = owners
        asked = [
            nodes[0].front.admin.set_role(one, one.user_id, ServerRole.MEMBER),
            nodes[1].front.admin.set_role(other, other.user_id, ServerRole.MEMBER),
        ]
        assert kinds(await at_once(*asked)) == {"done": 1, LastOwner.__name__: 1}
        (left,) = await nodes[0].store.read(accounts.owners, nodes[0].clock.now)
        assert left in {each.user_id for each in owners}
        await nodes[0].store.write(accounts.set_role, left, ServerRole.MEMBER)


async def test_the_last_owner_of_a_channel_stays(nodes: Nodes) -> None:
    hana, mina, nari = await nodes[0].people(*[ServerRole.MEMBER] * 3)
    for number in range(4):
        room = await nodes[0].room(hana.user_id, mina.user_id, nari.user_id, name=f"room-{number}")
        await nodes[0].moderation.set_role(hana, room, mina.user_id, ChannelRole.OWNER)
        asked = [own.lobby.leave(who, room) for own, who in zip(nodes, (hana, mina), strict=True)]
        assert kinds(await at_once(*asked)) == {"done": 1, LastOwner.__name__: 1}
        assert await nodes[0].store.read(memberships.others_in, room, 0, ChannelRole.OWNER) == 1


async def test_there_are_no_more_members_than_there_may_be(nodes: Nodes) -> None:
    limits = Limits(members_per_channel=3)
    lobbies = [LobbyService(own.store, own.clock, limits) for own in nodes]
    people = await nodes[0].people(*[ServerRole.MEMBER] * 7)
    channel = await lobbies[0].create(people[0], "kitchen", "", None)
    asked = [lobbies[n % 2].join(who, channel.channel_id) for n, who in enumerate(people[1:])]
    assert kinds(await at_once(*asked)) == {"done": 2, LimitReached.__name__: 4}


async def test_a_channel_is_made_once_for_one_request(nodes: Nodes) -> None:
    (hana,) = await nodes[0].people(ServerRole.MEMBER)
    asked = [own.lobby.create(hana, "kitchen", "", b"k" * 16) for own in nodes for _ in range(3)]
    assert len({channel.channel_id for channel in await at_once(*asked)}) == 1


async def test_a_direct_channel_is_made_once(nodes: Nodes) -> None:
    hana, mina = await nodes[0].people(ServerRole.MEMBER, ServerRole.MEMBER)
    pairs = ((hana, mina.user_id), (mina, hana.user_id))
    asked = [own.lobby.open_direct(who, [whom]) for own, (who, whom) in zip(nodes, pairs, strict=True)]
    found = await at_once(*asked)
    assert kinds(found) == {"done": 2}
    assert len({channel.channel_id for channel, _ in found}) == 1


async def test_after_it_left_nothing_of_it_comes(nodes: Nodes) -> None:
    """Whoever leaves on one node while it writes on the other: each message is before its leaving, or refused."""
    hana, mina = await nodes[0].people(ServerRole.MEMBER, ServerRole.MEMBER)
    for number in range(10):
        room = await nodes[0].room(hana.user_id, mina.user_id, name=f"room-{number}")
        said = [nodes[1].store.append([draft(room, mina.user_id, str(n))]) for n in range(3)]
        leaving = asyncio.create_task(nodes[0].lobby.leave(mina, room))
        for n in range(3, 40):
            await asyncio.sleep(0)
            said.append(nodes[1].store.append([draft(room, mina.user_id, str(n))]))
        await leaving
        results = [one for part in await at_once(*said) for one in part]
        history = await nodes[0].history(room)
        left = next(one.sequence for one in history if one.content is Content.MEMBER_LEFT)
        assert all(one.sequence <= left for one in history)
        refused = [type(one) for one in results if isinstance(one, MadangError)]
        assert set(refused) <= {NotAMember}
        assert len(refused) + len([one for one in history if one.content is Content.TEXT]) == 40
    assert sequences(await nodes[1].store.append([draft(room, mina.user_id)])) == ["NOT_A_MEMBER"]


async def test_a_mute_waits_for_what_another_node_is_storing(nodes: Nodes, database: str) -> None:
    """Whoever has the channel has seen the old seat: its messages are stored before the mute is acknowledged."""
    hana, mina = await nodes[0].people(ServerRole.MEMBER, ServerRole.MEMBER)
    room = await nodes[0].room(hana.user_id, mina.user_id)
    other = await asyncpg.connect(database)
    try:
        async with other.transaction():
            await other.execute("SELECT FROM channels WHERE channel_id = $1 FOR UPDATE", room)
            pid = other.get_server_pid()
            muting = asyncio.create_task(nodes[0].moderation.mute(hana, room, mina.user_id, 60))
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE $1::int = ANY(pg_blocking_pids(pid))"
            async with asyncio.timeout(PATIENCE):
                while await fetch(database, waiting, pid) != [(1,)]:
                    assert not muting.done()
        async with asyncio.timeout(PATIENCE):
            await muting
    finally:
        await other.close()
    assert sequences(await nodes[1].store.append([draft(room, mina.user_id)])) == ["MUTED"]


async def test_slow_mode_counts_over_nodes(nodes: Nodes) -> None:
    hana, mina = await nodes[0].people(ServerRole.MEMBER, ServerRole.MEMBER)
    room = await nodes[0].room(hana.user_id, mina.user_id)
    await nodes[0].lobby.update(hana, room, ChannelUpdate(slow_mode=30))
    asked = [own.store.append([draft(room, mina.user_id)]) for own in nodes for _ in range(3)]
    reasons = [reason for part in await at_once(*asked) for reason in sequences(part)]
    assert sorted(map(str, reasons)).count("SLOW_MODE") == 5


async def test_everything_at_once_leaves_no_gap_and_nobody_waiting(nodes: Nodes) -> None:
    """Joining, leaving, renaming, muting, writing in slow mode, reading, on both nodes, in the same few channels."""
    rng = random.Random(11)
    people = await nodes[0].people(*[ServerRole.ADMIN] * 8)
    everyone = [who.user_id for who in people]
    rooms = [await nodes[0].room(*everyone, name=f"room-{number}") for number in range(4)]
    await nodes[0].lobby.update(people[0], rooms[0], ChannelUpdate(slow_mode=1))
    refused: list[str] = []

    async def act(own: Parts, user: Actor, room: int) -> None:
        match rng.randrange(6):
            case 0:
                await own.lobby.leave(user, room)
            case 1:
                await own.lobby.join(user, room)
            case 2:
                await own.channel.mark_read(user.user_id, room, 1)
            case 3:
                await own.lobby.update(user, room, ChannelUpdate(topic=str(rng.random())))
            case _:
                places = rng.sample([LOBBY_ID, *rooms], 3)
                await own.store.append([Draft(each, user.user_id, Content.TEXT, "x") for each in places])

    async def live(own: Parts, user: Actor) -> None:
        for _ in range(12):
            try:
                await act(own, user, rng.choice(rooms))
            except MadangError as error:  # who has left may not write, and so on
                refused.append(error.reason)

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(live(nodes[number % 2], people[number % 8]) for number in range(24)))
    assert "STORAGE_UNAVAILABLE" not in refused
    for room in (LOBBY_ID, *rooms):
        history = await nodes[1].history(room)
        assert [one.sequence for one in history] == list(range(1, len(history) + 1))


async def test_a_repeat_on_another_node_wakes_whom_nobody_told(nodes: Nodes) -> None:
    """The first node stored it, and went before it could tell anyone."""
    one = draft(LOBBY_ID, 1, "hello", b"k" * 16)
    async with subscribed(nodes[1], 2) as live:
        await nodes[0].store.append([one])
        await nodes[1].store.append([one])
        await live.reaches(LOBBY_ID, 1)
        assert live.reader.texts(LOBBY_ID) == ["hello"]


async def test_an_account_that_is_deleted_on_one_node_is_refused_on_the_other(nodes: Nodes) -> None:
    hana = await owner(nodes[0])
    mina = await person(nodes[0], hana, "mina")
    await nodes[0].front.deletion.delete_me(acts(mina), PASSWORD, False)
    assert sequences(await nodes[1].store.append([draft(LOBBY_ID, mina.user.user_id)])) == ["SESSION_REVOKED"]
