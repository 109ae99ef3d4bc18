"""Accounts and sessions: who gets which name, how long a session is good, and that its end is its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support import Parts, Where, eventually, names, parts, refused

from madang.core.errors import (
    HandleTaken,
    NameNotAllowed,
    SessionExpired,
    SessionRevoked,
    TokenInvalid,
    UserNotFound,
)
from madang.core.events import SessionEnded, UserChanged
from madang.core.text import MAX_HANDLE
from madang.services import sessions
from madang.services.sessions import SESSION_LIFE
from madang.storage import accounts
from madang.storage import sessions as stored
from madang.storage.transaction import Transaction

from .conftest import SlowStore

DAY = 24 * 3600


async def test_a_guest_gets_a_handle_a_session_and_a_token(own: Parts) -> None:
    mina = await own.agent.sign_in_guest("mina", "phone")
    assert (mina.user.handle, mina.session.device, mina.session.user_id) == ("mina", "phone", mina.user.user_id)
    assert mina.session.expires_at == own.clock.now + SESSION_LIFE
    assert await own.agent.authenticate(mina.token) == mina.session
    assert own.agent.known(mina.token) == mina.session


async def test_a_crowd_that_wishes_for_one_handle_gets_numbers(own: Parts) -> None:
    crowd = await asyncio.gather(*(own.agent.sign_in_guest("Mina", "") for _ in range(40)))
    handles = [one.user.handle for one in crowd]
    assert len({handle.casefold() for handle in handles}) == 40
    assert {"Mina", *(f"Mina-{number}" for number in range(2, 10))} <= set(handles)
    assert all(handle.startswith("Mina") for handle in handles)


async def test_a_number_never_makes_a_handle_too_long(own: Parts) -> None:
    long = "m" * MAX_HANDLE
    handles = {(await own.agent.sign_in_guest(long, "")).user.handle for _ in range(12)}
    assert len(handles) == 12
    assert all(len(handle) <= MAX_HANDLE for handle in handles)


async def test_case_does_not_make_another_handle(own: Parts) -> None:
    await own.agent.sign_in_guest("Straße", "")
    assert (await own.agent.sign_in_guest("STRASSE", "")).user.handle == "STRASSE-2"


async def test_a_handle_is_made_up_for_who_wishes_for_none(own: Parts) -> None:
    crowd = [await own.agent.sign_in_guest("", "") for _ in range(3)]
    assert all(one.user.handle.startswith("guest-") for one in crowd)
    assert len({one.user.handle for one in crowd}) == 3


async def test_a_bad_handle_makes_no_account(own: Parts) -> None:
    with refused(NameNotAllowed):
        await own.agent.sign_in_guest("mi na", "")
    assert await own.store.read(accounts.users_page, 0, 9) == []


async def test_the_store_never_sees_a_token(tmp_path: Path) -> None:
    async with parts(tmp_path) as own:
        mina = await own.agent.sign_in_guest("mina", "")
    kept = b"".join((tmp_path / name).read_bytes() for name in names(tmp_path))
    assert b"mina" in kept
    assert mina.token.encode() not in kept
    assert mina.token[7:].encode() not in kept


@pytest.mark.parametrize("token", ["", "x", "madang_" + "A" * 43])
async def test_tokens_that_are_nobodys(own: Parts, token: str) -> None:
    assert own.agent.known(token) is None
    with refused(TokenInvalid):
        await own.agent.authenticate(token)


async def test_a_session_goes_on_after_a_restart(where: Where) -> None:
    async with parts(where) as own:
        mina = await own.agent.sign_in_guest("mina", "")
    async with parts(where) as own:
        assert own.agent.known(mina.token) is None
        again = await own.agent.sign_in_token(mina.token)
        assert (again.user, again.session, again.token) == (mina.user, mina.session, "")
        assert own.agent.known(mina.token) == mina.session


async def test_signing_out_ends_the_session_at_once_and_for_good(where: Where) -> None:
    async with parts(where) as own:
        ended: list[SessionEnded] = []
        own.bus.subscribe(SessionEnded, ended.append)
        mina, other = [await own.agent.sign_in_guest("mina", "") for _ in range(2)]
        for _ in range(2):
            await own.agent.sign_out(mina.session)
        assert {event.session_id for event in ended} == {mina.session.session_id}
        assert own.agent.known(mina.token) is None
        with refused(SessionRevoked):
            await own.agent.authenticate(mina.token)
        assert await own.agent.authenticate(other.token) == other.session
    async with parts(where) as own:
        with refused(SessionRevoked):
            await own.agent.sign_in_token(mina.token)


async def test_a_session_that_ends_while_it_is_looked_up_does_not_come_back(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart: the answer to who has the token is from before the session's end, and comes after it."""
    async with parts(where) as own:
        mina = await own.agent.sign_in_guest("mina", "")
    async with parts(where) as own:
        slow = SlowStore(own, monkeypatch)
        slow.hold(stored.by_digest)
        looking = [asyncio.create_task(own.agent.authenticate(mina.token)) for _ in range(2)]
        await eventually(lambda: slow.waiting == 2, "both have asked")
        await own.agent.sign_out(mina.session)
        slow.answer()
        await asyncio.wait(looking)
        assert [type(one.exception()) for one in looking] == [SessionRevoked] * 2
        assert own.agent.known(mina.token) is None
        with refused(SessionRevoked):
            await own.agent.authenticate(mina.token)


async def test_a_session_ends_thirty_days_after_its_last_use(own: Parts) -> None:
    mina, idle = [await own.agent.sign_in_guest(handle, "") for handle in ("mina", "idle")]
    await own.agent.save_use()
    for _ in range(4):
        own.clock.pass_seconds(10 * DAY)
        assert own.agent.known(mina.token) is not None
        await own.agent.save_use()
    assert own.agent.known(idle.token) is None
    with refused(SessionExpired):
        await own.agent.authenticate(idle.token)
    own.clock.pass_seconds(30 * DAY)
    with refused(SessionExpired):
        await own.agent.authenticate(mina.token)


async def test_the_use_of_a_session_is_remembered_over_a_restart(where: Where) -> None:
    async with parts(where) as own:
        mina = await own.agent.sign_in_guest("mina", "")
        own.clock.pass_seconds(20 * DAY)
        assert own.agent.known(mina.token) is not None
        await own.agent.save_use()
        later = own.clock.now + 20 * DAY * 1_000_000
    async with parts(where) as own:
        own.clock.now = later
        await own.agent.authenticate(mina.token)


async def test_use_is_noted_every_ten_minutes_and_not_all_at_once(own: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[list[int]] = []
    touch = stored.touch

    def noting(transaction: Transaction, used: dict[int, tuple[int, int, str | None]]) -> None:
        noted.append(sorted(used))
        touch(transaction, used)

    monkeypatch.setattr(stored, "touch", noting)
    monkeypatch.setattr(sessions, "MAX_NOTED", 2)
    crowd = [await own.agent.sign_in_guest("", "") for _ in range(5)]
    own.clock.pass_seconds(9 * 60)
    assert all(own.agent.known(one.token) for one in crowd)
    await own.agent.save_use()
    assert noted == [], "it was noted less than ten minutes ago"
    own.clock.pass_seconds(60)
    await own.agent.save_use()
    assert sorted(len(part) for part in noted) == [1, 2, 2]
    assert sorted(session_id for part in noted for session_id in part) == sorted(
        one.session.session_id for one in crowd
    )
    assert own.agent.known(crowd[0].token, "10.9.9.9")
    await own.agent.save_use()
    assert noted[3:] == [[crowd[0].session.session_id]], "another address is noted at once"


async def test_a_handle_that_is_taken_is_not_given(own: Parts) -> None:
    told: list[UserChanged] = []
    own.bus.subscribe(UserChanged, told.append)
    mina, hana = [await own.agent.sign_in_guest(handle, "") for handle in ("mina", "hana")]
    with refused(HandleTaken, handle="HANA"):
        await own.agent.set_handle(mina.user.user_id, "HANA")
    changed = await own.agent.set_handle(hana.user.user_id, "Hana")
    assert changed.handle == "Hana"
    assert [event.user for event in told] == [changed]
    assert (await own.agent.user(mina.user.user_id)).handle == "mina"


async def test_one_of_many_gets_the_handle(own: Parts) -> None:
    crowd = await asyncio.gather(*(own.agent.sign_in_guest("", "") for _ in range(10)))
    wishes = [own.agent.set_handle(one.user.user_id, "mina") for one in crowd]
    done = await asyncio.gather(*wishes, return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in done) == 1
    assert sum(isinstance(one, HandleTaken) for one in done) == 9


async def test_nobody(own: Parts) -> None:
    with refused(UserNotFound, user=99):
        await own.agent.user(99)


async def test_an_open_stream_is_use_as_well(own: Parts) -> None:
    mina = await own.agent.sign_in_guest("mina", "")
    await own.agent.save_use()
    for _ in range(5):
        own.clock.pass_seconds(20 * DAY)
        await own.agent.save_use([mina.session.session_id])
    assert own.agent.known(mina.token) is not None


async def test_sessions_that_are_not_remembered_are_looked_up(own: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_CACHED", 2)
    crowd = [await own.agent.sign_in_guest("", "") for _ in range(5)]
    assert [own.agent.known(one.token) is not None for one in crowd] == [False] * 3 + [True] * 2
    for one in crowd:
        assert await own.agent.authenticate(one.token) == one.session
    await own.agent.save_use()
    await own.agent.sign_out(crowd[0].session)
    for _ in range(2):
        with refused(SessionRevoked):
            await own.agent.authenticate(crowd[0].token)
    assert await own.agent.authenticate(crowd[1].token) == crowd[1].session
