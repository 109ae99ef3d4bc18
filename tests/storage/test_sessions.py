"""Sessions: found by digest, ended once, and what is noted of their use."""

from __future__ import annotations

import asyncio

import pytest
from parts.postgres import execute
from support import Clock, opened

from madang.core.models import Scope, ServerRole, Session, UserKind
from madang.storage import accounts, server_bans, sessions
from madang.storage.store import Store
from madang.storage.transaction import Transaction

FAR = 2**60


def add(
    transaction: Transaction,
    handle: str,
    number: int = 1,
    expires_at: int = FAR,
    scopes: Scope | None = None,
    owner_id: int = 0,
) -> Session:
    """A user of this handle, unless there is one, and a session of it."""
    user = accounts.user_by_handle(transaction.connection, handle)
    if user is None:
        role = ServerRole.BOT if owner_id else ServerRole.MEMBER
        user = accounts.add_user(transaction, handle, UserKind.PERSON, role, owner_id=owner_id)
    return sessions.add(transaction, user, bytes([number]) * 32, "phone", expires_at, "10.0.0.1", scopes)


async def found(store: Store, clock: Clock, number: int = 1) -> Session | None:
    row = await store.read(sessions.by_digest, bytes([number]) * 32, clock.now)
    return None if row is None else row.session


async def test_a_session_is_found_by_its_digest_and_ended_once(store: Store, clock: Clock) -> None:
    session = await store.write(add, "mina")
    assert await found(store, clock) == session
    assert session.role is ServerRole.MEMBER
    assert await found(store, clock, 2) is None
    assert await store.write(sessions.revoke, session.session_id)
    once = await found(store, clock)
    assert once is not None
    clock.pass_seconds(5)
    assert not await store.write(sessions.revoke, session.session_id)
    ended = await found(store, clock)
    assert ended is not None
    assert ended.revoked_at == once.revoked_at is not None


@pytest.mark.parametrize("off", [-3600, 3600])
async def test_what_one_node_ends_another_finds_whatever_their_clocks_say(
    database: str, clock: Clock, off: int
) -> None:
    """And what was ended long ago it does not find again."""
    other = Clock()
    other.pass_seconds(off)
    async with opened(database, clock=clock) as one, opened(database, clock=other) as there:
        session = await one.write(add, "mina")
        await one.write(sessions.revoke, session.session_id)
        found = await there.read(sessions.revoked_since, other.now - 60_000_000, other.now)
        assert found == [(session.session_id, session.user_id)]
        await execute(database, "UPDATE sessions SET revoked_at = revoked_at - 61000000")
        assert await there.read(sessions.revoked_since, other.now - 60_000_000, other.now) == []


async def test_many_end_the_same_sessions_and_each_ends_once(store: Store) -> None:
    made = [await store.write(add, "mina", number) for number in range(1, 6)]
    await store.write(add, "nari", 6)
    ended = await asyncio.gather(
        *(store.write(sessions.revoke_all, made[0].user_id, but=made[0].session_id) for _ in range(4))
    )
    assert sorted(session_id for ids in ended for session_id in ids) == [session.session_id for session in made[1:]]


async def test_the_use_of_sessions_is_noted(store: Store, clock: Clock) -> None:
    made = [await store.write(add, "mina", number) for number in range(1, 4)]
    await store.write(
        sessions.touch, {made[0].session_id: (20, 30, "10.0.0.2"), made[2].session_id: (21, FAR + 1, None)}
    )
    now = [await found(store, clock, number) for number in range(1, 4)]
    assert [(one.used_at, one.expires_at, one.address) for one in now if one] == [
        (20, 30, "10.0.0.2"),
        (made[1].used_at, FAR, "10.0.0.1"),
        (21, FAR + 1, "10.0.0.1"),
    ]


async def test_only_sessions_that_are_good_are_listed_newest_first(store: Store, clock: Clock) -> None:
    over = await store.write(add, "mina", 1, clock.now + 10)
    ended = await store.write(add, "mina", 2)
    made = [await store.write(add, "mina", number, 0, Scope.READ | Scope.SEND) for number in (3, 4, 5)]
    await store.write(sessions.revoke, ended.session_id)
    clock.pass_seconds(1)
    page = await store.read(sessions.page, over.user_id, None, 2, clock.now)
    assert page == [made[2], made[1]]
    assert page[0].scopes == Scope.READ | Scope.SEND
    assert await store.read(sessions.page, over.user_id, page[-1].session_id, 2, clock.now) == [made[0]]


async def test_a_ban_is_found_with_the_sessions_of_its_user_and_of_the_users_bots(store: Store, clock: Clock) -> None:
    mina = await store.write(add, "mina", 1)
    await store.write(add, "robot", 2, 0, Scope.READ, mina.user_id)
    await store.write(add, "nari", 3)
    await store.write(server_bans.put, mina.user_id, 9, "noise", clock.now + 10_000_000)
    reasons = []
    for number in (1, 2, 3):
        row = await store.read(sessions.by_digest, bytes([number]) * 32, clock.now)
        assert row is not None
        reasons.append(row.ban.reason if row.ban else None)
    assert reasons == ["noise", "noise", None]
    clock.pass_seconds(10)
    row = await store.read(sessions.by_digest, bytes([1]) * 32, clock.now)
    assert row is not None
    assert row.ban is None, "it is over"
