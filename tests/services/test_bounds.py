"""Only so many of each thing, also for two that come at the same instant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
import sqlalchemy as sa
from support import Parts, Where, opened, parts, refused

from madang.core.errors import LimitReached
from madang.core.limits import Limits
from madang.core.models import LOBBY_ID, Actor, ServerRole
from madang.services import bounds
from madang.services.lobby import LobbyService
from madang.storage.schema import channels, codes, members, sessions, users
from madang.storage.transaction import Transaction

Row = dict[str, object]
ENDED: list[dict[str, int | None]] = [{"expires_at": 1}, {"revoked_at": 1}]

FEW = Limits(
    channels_per_user=3,
    channels_owned=2,
    members_per_channel=3,
    direct_channels_per_user=1,
    invites_per_user=1,
    bots_per_person=1,
    tokens_per_bot=1,
    sessions_per_user=1,
)


async def people(own: Parts, count: int) -> list[Actor]:
    return await own.people(*[ServerRole.MEMBER] * count)


async def test_channels_and_members(where: Where) -> None:
    async with parts(where) as own:
        lobby = LobbyService(own.store, own.clock, FEW)
        mina, *others = await people(own, 6)
        rooms = [(await lobby.create(mina, name, "", None)).channel_id for name in ("one", "two")]
        with refused(LimitReached, what="channels of your own", limit=2):
            await lobby.create(mina, "three", "", None)
        outcomes = await asyncio.gather(*(lobby.join(other, rooms[0]) for other in others), return_exceptions=True)
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds.count(LimitReached) == 3, "two may come in, however many come at once"
        inside = others[kinds.index(tuple)]
        await lobby.join(inside, rooms[0])  # is in already
        await lobby.join(inside, LOBBY_ID)
        for name in ("four", "five"):
            await lobby.create(inside, name, "", None)
        with refused(LimitReached, what="channels for a user to be in"):
            await lobby.join(inside, rooms[1])
        await lobby.leave(inside, rooms[0])
        await lobby.join(inside, rooms[1])
        assert (await lobby.join(others[kinds.index(LimitReached)], rooms[0]))[0].channel_id == rooms[0]


async def test_who_is_brought_in(where: Where) -> None:
    async with parts(where) as own:
        lobby = LobbyService(own.store, own.clock, FEW)
        mina, *others = await people(own, 4)
        room = (await lobby.create(mina, "one", "", None)).channel_id
        for other in others[:2]:
            await lobby.add(mina, room, other.user_id)
        with refused(LimitReached, what="members in a channel"):
            await lobby.add(mina, room, others[2].user_id)
        await lobby.add(mina, room, others[0].user_id)  # is in already
        await lobby.open_direct(mina, [others[0].user_id])
        await lobby.open_direct(others[0], [mina.user_id])
        with refused(LimitReached):
            await lobby.open_direct(others[1], [mina.user_id])


async def test_one_more_session_ends_the_one_that_was_not_used_for_longest(where: Where) -> None:
    async with opened(where) as store:
        for used_at in (5, 3, 4):
            await store.write(partial(_session, used_at=used_at))
        assert await store.write(bounds.sessions_to_end, Limits(sessions_per_user=4), 7) == []
        assert await store.write(bounds.sessions_to_end, Limits(sessions_per_user=3), 7) == [2]
        assert await store.write(bounds.sessions_to_end, Limits(sessions_per_user=1), 7) == [1, 3, 2]
        assert await store.write(bounds.sessions_to_end, None, 7) == []


async def test_a_repeated_creation_is_no_new_one(where: Where) -> None:
    async with parts(where) as own:
        lobby = LobbyService(own.store, own.clock, FEW)
        (mina,) = await people(own, 1)
        first = await lobby.create(mina, "one", "", bytes(16))
        await lobby.create(mina, "two", "", None)
        assert (await lobby.create(mina, "one", "", bytes(16))).channel_id == first.channel_id


def _invite(transaction: Transaction, **values: int | None) -> None:
    row: Row = {"code_digest": str(values).encode(), "user_id": None, "creator_id": 7, "role": 3, "max_uses": 2}
    row |= {"uses": 0, "created_at": 0, "expires_at": transaction.now + 1, "revoked_at": None, "note": "", **values}
    transaction.connection.execute(sa.insert(codes).values(row))


def _session(transaction: Transaction, **values: int | None) -> None:
    row: Row = {"user_id": 7, "token_digest": str(values).encode(), "device": "", "created_at": 0, "used_at": 0}
    row |= {"expires_at": transaction.now + 1, "revoked_at": None, **values}
    transaction.connection.execute(sa.insert(sessions).values(row))


def _bot(transaction: Transaction, **values: int | None) -> None:
    row: Row = {"handle": str(values), "handle_key": str(values), "kind": 4, "created_at": 0, "owner_id": 7, **values}
    transaction.connection.execute(sa.insert(users).values(row))


def _direct(transaction: Transaction, **values: int | None) -> None:
    row = {"name": "", "name_key": str(values), "topic": "", "kind": 4, "owner_id": 7, "sequence": 0, "created_at": 0}
    query = sa.insert(channels).values(row).returning(channels.c.channel_id)
    channel_id = transaction.connection.execute(query).scalar_one()
    member = {"channel_id": channel_id, "user_id": 7, "joined_at": 0, "read_through": 0} | values
    transaction.connection.execute(sa.insert(members).values(member))


Make = Callable[..., None]
Require = Callable[[Transaction, Limits | None, int], None]


def _direct_with(transaction: Transaction, limits: Limits | None, user_id: int) -> None:
    bounds.require_direct(transaction, limits, [1, user_id])


@pytest.mark.parametrize(
    ("make", "require", "gone"),
    [
        (
            _invite,
            bounds.require_invite,
            [{"expires_at": 1}, {"revoked_at": 1}, {"uses": 2}, {"creator_id": 8}, {"user_id": 9}],
        ),
        (_session, bounds.require_token, [*ENDED, {"user_id": 8}]),
        (_bot, bounds.require_bot, [{"deleted_at": 1}, {"owner_id": 8}]),
        (_direct, _direct_with, [{"joined_at": None}, {"user_id": 8}]),
    ],
)
async def test_what_counts(where: Where, make: Make, require: Require, gone: list[dict[str, int | None]]) -> None:
    """What is used up, revoked, expired, deleted or somebody else's does not."""
    async with opened(where) as store:
        for values in gone:
            await store.write(partial(make, **values))
        await store.write(require, FEW, 7)
        await store.write(make)
        with pytest.raises(LimitReached):
            await store.write(require, FEW, 7)
        await store.write(require, None, 7)
