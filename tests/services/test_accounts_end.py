"""Bots, the end of an account, and its data: what goes, what stays, and that half of it never happens."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support import Live, Parts, Where, names, parts, refused, subscribed

from madang.core.errors import CredentialsWrong, HandleTaken, InvalidField, SessionExpired, SessionRevoked, UserNotFound
from madang.core.events import MembershipChanged, SessionEnded, UserChanged
from madang.core.models import LOBBY_ID, Content, Scope, ServerRole, UserKind
from madang.services.sessions import SESSION_LIFE
from madang.storage import accounts, memberships, messages, traces

from .people import OTHER, PASSWORD, acts, events, owner, person

DAY = 24 * 3600


async def exported(own: Parts, who: Any) -> list[dict[str, Any]]:
    text = b"".join([piece async for piece in own.front.export.export(acts(who))]).decode()
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


async def test_a_bot_and_its_tokens(own: Parts) -> None:
    hana = await owner(own)
    bots = own.front.bots
    bot = await bots.create(acts(hana), "robot", "The Robot")
    assert (bot.kind, bot.role, bot.owner_id) == (UserKind.BOT, ServerRole.BOT, hana.user.user_id)
    token, session = await bots.create_token(acts(hana), bot.user_id, Scope.READ | Scope.SEND, "bridge", None)
    assert (session.expires_at, session.device) == (0, "bridge")
    own.clock.pass_seconds(400 * DAY)
    found = await own.agent.authenticate(token)
    assert found.scopes == Scope.READ | Scope.SEND
    assert found.role is ServerRole.BOT
    assert own.agent.known(token)
    await own.agent.save_use()
    assert (await own.agent.authenticate(token)).expires_at == 0
    listed, _ = await own.agent.list_sessions(acts(hana), bot.user_id, 0, "")
    assert [one.session_id for one in listed] == [session.session_id]
    assert await own.agent.revoke_session(acts(hana), session.session_id) == 1
    with refused(SessionRevoked):
        await own.agent.authenticate(token)


async def test_a_token_that_is_made_for_a_time_ends_however_much_it_is_used(own: Parts) -> None:
    hana = await owner(own)
    bot = await own.front.bots.create(acts(hana), "robot", "")
    until = own.clock.now + 10 * 1_000_000
    token, _ = await own.front.bots.create_token(acts(hana), bot.user_id, Scope.READ, "", until)
    await own.agent.authenticate(token)
    await own.agent.save_use()
    own.clock.pass_seconds(10)
    assert own.agent.known(token) is None
    with refused(SessionExpired):
        await own.agent.authenticate(token)
    assert SESSION_LIFE > 10 * 1_000_000


async def test_a_bot_is_its_owners_alone(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    bot = await own.front.bots.create(acts(mina), "robot", "")
    for who in (hana, await own.agent.sign_in_guest("guest", "")):
        with refused(UserNotFound):
            await own.front.bots.delete(acts(who), bot.user_id)
    with refused(UserNotFound):
        await own.front.bots.create_token(acts(hana), bot.user_id, Scope.READ, "", None)
    with refused(UserNotFound):
        await own.front.bots.create_token(acts(mina), hana.user.user_id, Scope.READ, "", None)
    with refused(HandleTaken):
        await own.front.bots.create(acts(hana), "ROBOT", "")
    with refused(InvalidField):
        await own.front.bots.create_token(acts(mina), bot.user_id, Scope.READ, "", own.clock.now)
    with refused(CredentialsWrong):
        await own.agent.sign_in_password("robot", "", "", "")
    assert [one.user_id for one in (await own.front.bots.page(acts(mina), 0, ""))[0]] == [bot.user_id]
    assert (await own.front.bots.page(acts(hana), 0, ""))[0] == []


async def test_a_deleted_bot_is_gone_and_its_messages_stay(own: Parts) -> None:
    hana = await owner(own)
    bot = await own.front.bots.create(acts(hana), "robot", "")
    token, _ = await own.front.bots.create_token(acts(hana), bot.user_id, Scope.SEND, "", None)
    await own.say(bot.user_id, LOBBY_ID, "beep")
    await own.front.bots.delete(acts(hana), bot.user_id)
    with refused(SessionRevoked):
        await own.agent.authenticate(token)
    with refused(UserNotFound):
        await own.front.bots.delete(acts(hana), bot.user_id)
    assert [message.text for message in await own.history(LOBBY_ID)] == ["beep"]
    await own.front.bots.create(acts(hana), "robot", "")


async def test_a_deleted_account_leaves_nothing_but_words(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    await own.front.accounts.update(acts(mina), None, "Mina Kim", "happy")
    bot = await own.front.bots.create(acts(mina), "robot", "")
    token, _ = await own.front.bots.create_token(acts(mina), bot.user_id, Scope.READ, "", None)
    kitchen = await own.room(hana.user.user_id, mina.user.user_id)
    await own.say(mina.user.user_id, kitchen, "soup is ready")
    told: list[Any] = []
    for kind in (SessionEnded, MembershipChanged, UserChanged):
        own.bus.subscribe(kind, told.append)
    with refused(CredentialsWrong):
        await own.front.deletion.delete_me(acts(mina), OTHER, False)
    assert not told
    await own.front.deletion.delete_me(acts(mina), PASSWORD, False)
    user = await own.agent.user(mina.user.user_id)
    assert (user.handle, user.display_name, user.status_text) == (f"deleted-{user.user_id}", "", "")
    assert user.deleted_at == own.clock.now
    for gone in (mina.token, token):
        with refused(SessionRevoked):
            await own.agent.authenticate(gone)
    for handle in ("mina", user.handle):
        with refused(CredentialsWrong):
            await own.agent.sign_in_password(handle, PASSWORD, "", "")
    assert await own.store.read(memberships.get, kitchen, user.user_id) is None
    assert [m.content for m in await own.history(kitchen)][-1] is Content.MEMBER_LEFT
    assert "soup is ready" in [message.text for message in await own.history(kitchen)]
    assert {event.user_id for event in told if isinstance(event, SessionEnded)} == {user.user_id, bot.user_id}
    listed = [one.user_id for one in await own.store.read(accounts.users_page, 0, 99)]
    assert listed == [hana.user.user_id]
    assert (await person(own, hana, "mina")).user.user_id not in (user.user_id, 0)
    with refused(UserNotFound):
        await own.front.admin.ban(acts(hana), user.user_id, "", None)


async def test_a_guest_goes_without_a_password(own: Parts) -> None:
    guest = await own.agent.sign_in_guest("guest", "")
    await own.front.deletion.delete_me(acts(guest), "", False)
    with refused(SessionRevoked):
        await own.agent.authenticate(guest.token)
    with refused(UserNotFound):
        await own.front.deletion.delete_me(acts(guest), "", False)


async def test_erased_texts_are_gone_from_the_store_and_from_what_readers_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "STEP", 2)
    async with parts(tmp_path) as own:
        hana = await owner(own)
        mina = await person(own, hana, "mina")
        user_id = mina.user.user_id
        kitchen = await own.room(hana.user.user_id, user_id)
        await own.say(user_id, LOBBY_ID, *(f"secret {n}" for n in range(5)))
        async with subscribed(own, hana.user.user_id) as live:
            await own.say(user_id, kitchen, "secret soup", "secret salt")
            await own.say(hana.user.user_id, kitchen, "hana speaks")
            await live.reaches(kitchen, 5)
            await own.front.deletion.delete_me(acts(mina), PASSWORD, True)
            late = own.channel.subscribe(hana.user.user_id, live_from(kitchen))
            again = Live(late)
            await again.next()
            await again.reaches(kitchen, 6)
            late.close()
        assert [text for text in again.reader.texts(kitchen) if text] == ["hana speaks"]
        for channel_id in (LOBBY_ID, kitchen):
            assert not [m for m in await own.history(channel_id) if "secret" in m.text]
        assert len(await own.history(LOBBY_ID)) == 5
        assert await own.store.read(traces.owed_erasures) == []
        assert (await events(own, "user.delete"))[0].details == {"messages": "erase"}
    assert names(tmp_path)


def live_from(channel_id: int) -> Any:
    from madang.services.subscription import Wanted

    return Wanted({channel_id: 0}, frozenset({channel_id}))


async def test_an_erasure_that_was_cut_off_goes_on_at_the_next_start(where: Where) -> None:
    async with parts(where) as own:
        hana = await owner(own)
        mina = await person(own, hana, "mina")
        await own.say(mina.user.user_id, LOBBY_ID, "secret")
        erasing = own.front.deletion._erase

        async def cut_off(user_id: int) -> None:
            raise asyncio.CancelledError

        own.front.deletion._erase = cut_off  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await own.front.deletion.delete_me(acts(mina), PASSWORD, True)
        own.front.deletion._erase = erasing  # type: ignore[method-assign]
        assert (await own.store.read(messages.get, LOBBY_ID, 1)).text == "secret"  # type: ignore[union-attr]
    async with parts(where) as own:
        for _ in range(2):
            await own.front.deletion.go_on()
        assert (await own.store.read(messages.get, LOBBY_ID, 1)).text == ""  # type: ignore[union-attr]


async def test_the_export_holds_everything_of_one_and_nothing_of_others(
    own: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "STEP", 3)
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    kitchen = await own.room(hana.user.user_id, mina.user.user_id)
    await own.front.bots.create(acts(mina), "robot", "")
    for n in range(10):
        await own.say(mina.user.user_id, kitchen, f"mine {n} \n 🏡\u2028")
        await own.say(hana.user.user_id, kitchen, "not mine")
    await own.lobby.leave(acts(mina), kitchen)
    lines = await exported(own, mina)
    assert [line["handle"] for line in lines if line["type"] in ("account", "bot")] == ["mina", "robot"]
    assert [line["device"] for line in lines if line["type"] == "session"] == ["phone"]
    assert [line["channel_id"] for line in lines if line["type"] == "membership"] == [LOBBY_ID]
    texts = [line["text"] for line in lines if line["type"] == "message" and line["content"] == "text"]
    assert texts == [f"mine {n} \n 🏡\u2028" for n in range(10)]
    assert "not mine" not in str(lines)
    assert PASSWORD not in str(lines)
    assert "argon2" not in str(lines)
    assert [event.action for event in await events(own, "user.export")] == ["user.export"]


async def test_the_export_comes_in_pieces(own: Parts) -> None:
    hana = await owner(own)
    for n in range(200):
        await own.say(hana.user.user_id, LOBBY_ID, f"{n} " + "x" * 10_000)
    pieces = [piece async for piece in own.front.export.export(acts(hana))]
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 300 * 1024
    assert all(piece.endswith(b"\n") for piece in pieces)
