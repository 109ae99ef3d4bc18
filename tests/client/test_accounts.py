"""Accounts as the SDK has them: ways in, the password, sessions, bots, and the end."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from faults.proxy import Proxy
from support import eventually

import madang
from madang.core.models import Scope
from madang.services.accounts import AccountService

from .conftest import PASSWORD, PATIENCE, Restartable, owner, person, stored_texts, upto

OTHER = "quite another password"


async def test_register_and_sign_in_again(server: Restartable) -> None:
    async with person(server, "mina", display_name="Mina Kim") as mina:
        assert (mina.me.kind, mina.me.role) == (madang.UserKind.PERSON, madang.ServerRole.MEMBER)
        assert mina.me.display_name == "Mina Kim"
    async with madang.connect(server.target, handle="MINA", password=PASSWORD) as again:
        assert again.me.user_id == mina.me.user_id
        assert again.token != mina.token
    for handle, password in (("mina", OTHER), ("nobody", PASSWORD)):
        with pytest.raises(madang.CredentialsWrong, match="the handle or the password is wrong"):
            await madang.connect(server.target, handle=handle, password=password)
    with pytest.raises(madang.InvalidField):
        madang.connect(server.target, password=PASSWORD)


async def test_a_handle_is_given_once_also_at_the_same_instant(server: Restartable) -> None:
    async def come(handle: str) -> madang.Client | BaseException:
        try:
            return await person(server, handle, live=False)
        except madang.MadangError as error:
            return error

    outcomes = await asyncio.gather(*(come(handle) for handle in ("mina", "Mina", "MINA")))
    clients = [outcome for outcome in outcomes if isinstance(outcome, madang.Client)]
    assert len(clients) == 1
    assert sum(isinstance(outcome, madang.HandleTaken) for outcome in outcomes) == 2
    await clients[0].close()


@pytest.mark.parametrize(
    ("handle", "password", "error"),
    [
        ("mina", "short", madang.PasswordNotAllowed),
        ("mina", "aaaaaaaaaaaa", madang.PasswordNotAllowed),
        ("two words", PASSWORD, madang.NameNotAllowed),
        pytest.param("x" * 33, PASSWORD, madang.InvalidField, id="a long handle"),
        pytest.param("x" * 1_000_000, PASSWORD, madang.LimitReached, id="a megabyte handle"),
    ],
)
async def test_what_is_refused(
    server: Restartable, handle: str, password: str, error: type[madang.MadangError], tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        await madang.register(server.target, handle, password, state=tmp_path)
    assert password not in str(caught.value)
    assert not (tmp_path / "credentials.json").exists()


async def test_a_password_is_for_when_the_saved_session_is_no_good(server: Restartable, tmp_path: Path) -> None:
    async with person(server, "mina", state=tmp_path) as mina:
        pass
    assert PASSWORD not in (tmp_path / "credentials.json").read_text()
    async with madang.connect(server.target, handle="mina", password=OTHER, state=tmp_path) as same:
        assert same.token == mina.token
        await same.revoke_all_sessions()
    async with madang.connect(server.target, token=mina.token, live=False) as phone:
        await phone.sign_out()
    with pytest.raises(madang.SessionRevoked):  # and not: a new guest
        await madang.connect(server.target, handle="mina", state=tmp_path)
    with pytest.raises(madang.CredentialsWrong):
        await madang.connect(server.target, handle="mina", password=OTHER, state=tmp_path)
    async with madang.connect(server.target, handle="mina", password=PASSWORD, state=tmp_path) as again:
        assert again.me.user_id == mina.me.user_id
        assert again.token != mina.token


async def test_the_outbox_goes_on_with_the_same_account(server: Restartable, tmp_path: Path) -> None:
    mina = await person(server, "mina", state=tmp_path)
    token = mina.token
    await server.stop()
    mina.post("lobby", "for later")
    await mina.close(drain=0.1)
    await server.start()
    async with madang.connect(server.target, token=token, live=False) as phone:
        await phone.sign_out()
    async with madang.connect(server.target, handle="mina", password=PASSWORD, state=tmp_path) as again:
        sent = (await upto(again, madang.Sent))[-1]
        assert isinstance(sent, madang.Sent)
        assert sent.outgoing.state is madang.SendState.STORED
        assert await stored_texts(again, "lobby") == ["for later"]


async def test_nothing_is_sent_as_somebody_else(server: Restartable, tmp_path: Path) -> None:
    mina = await person(server, "mina", state=tmp_path)
    await server.stop()
    mina.post("lobby", "in the name of mina")
    await mina.close(drain=0)
    await server.start()
    async with person(server, "joon", state=tmp_path) as joon:
        sent = (await upto(joon, madang.Sent))[-1]
        assert isinstance(sent, madang.Sent)
        assert isinstance(sent.outgoing.error, madang.NotPermitted)
        assert await stored_texts(joon, "lobby") == []


async def test_a_changed_password_ends_the_other_sessions(server: Restartable) -> None:
    async with person(server, "mina") as mina:
        phone = await madang.connect(server.target, handle="mina", password=PASSWORD)
        with pytest.raises(madang.CredentialsWrong):
            await mina.change_password(OTHER, "does not matter, that")
        await mina.change_password(PASSWORD, OTHER)
        with pytest.raises(madang.SessionRevoked):
            await asyncio.wait_for(_read_on(phone), PATIENCE)
        await phone.close()
        assert len(await mina.sessions()) == 1
        with pytest.raises(madang.CredentialsWrong):
            await madang.connect(server.target, handle="mina", password=PASSWORD)
        async with madang.connect(server.target, handle="mina", password=OTHER, live=False):
            pass


async def _read_on(client: madang.Client) -> None:
    async for _ in client.events():
        pass


async def test_sessions(server: Restartable) -> None:
    async with person(server, "mina", device="laptop") as mina:
        phone = await madang.connect(server.target, handle="mina", password=PASSWORD, device="phone")
        newest, oldest = await mina.sessions()
        assert (newest.device, oldest.device) == ("phone", "laptop")
        assert newest.address == "127.0.0.1"
        assert await mina.revoke_session(newest.session_id)
        with pytest.raises(madang.SessionRevoked):
            await asyncio.wait_for(_read_on(phone), PATIENCE)
        await phone.close()
        assert not await mina.revoke_session(newest.session_id)
        async with person(server, "joon", live=False) as joon:
            with pytest.raises(madang.SessionNotFound):
                await joon.revoke_session(oldest.session_id)
        for _ in range(3):
            await (await madang.connect(server.target, handle="mina", password=PASSWORD, live=False)).close()
        assert await mina.revoke_all_sessions() == 3
        assert [session.session_id for session in await mina.sessions()] == [mina.session.session_id]


async def test_update_me(server: Restartable, tmp_path: Path) -> None:
    async with person(server, "mina", state=tmp_path) as mina, madang.connect(server.target) as other:
        me = await mina.update_me(display_name="Mina Kim", status_text="in the garden")
        assert (me.handle, me.display_name, me.status_text) == ("mina", "Mina Kim", "in the garden")
        changed = (await upto(other, madang.UserChanged))[-1]
        assert isinstance(changed, madang.UserChanged)
        assert changed.user.status_text == "in the garden"
        await mina.update_me(handle="minnie", status_text="")
        assert (mina.me.handle, mina.me.display_name, mina.me.status_text) == ("minnie", "Mina Kim", "")
    assert json.loads((tmp_path / "credentials.json").read_text())["handle"] == "minnie"
    async with madang.connect(server.target, handle="minnie", password=OTHER, state=tmp_path) as again:
        assert again.token == mina.token


async def test_bots(server: Restartable) -> None:
    async with person(server, "mina") as mina, person(server, "joon", live=False) as joon:
        room = await mina.create_channel("room")
        bot = await mina.create_bot("weather", "The weather")
        assert (bot.kind, bot.owner_id) == (madang.UserKind.BOT, mina.me.user_id)
        assert [found.handle for found in await mina.bots()] == ["weather"]
        assert await joon.bots() == []
        made = await mina.create_bot_token("@weather", Scope.SEND | Scope.READ, name="the cellar")
        assert made.token not in repr(made)
        assert made.session.expires_at == 0
        async with madang.connect(server.target, token=made.token) as weather:
            await weather.join(room)
            await weather.send(room, "rain")
            with pytest.raises(madang.ScopeMissing, match="manage"):
                await weather.create_channel("mine")
            with pytest.raises(madang.NotPermitted):
                await weather.create_bot("another")
            listed = await mina.sessions("weather")
            assert [session.device for session in listed] == ["the cellar"]
            with pytest.raises(madang.MadangError):
                await joon.revoke_session(listed[0].session_id)
            await mina.revoke_session(listed[0].session_id)
            with pytest.raises(madang.SessionRevoked):
                await asyncio.wait_for(_read_on(weather), PATIENCE)
        again = await mina.create_bot_token(bot, Scope.READ, seconds=3600)
        assert again.session.expires_at > 0
        with pytest.raises(madang.MadangError):
            await joon.delete_bot(bot)
        await mina.delete_bot(bot)
        with pytest.raises(madang.Unauthenticated):
            await madang.connect(server.target, token=again.token)
        assert await stored_texts(mina, room.channel_id) == ["rain"]


async def test_export(server: Restartable, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    path = folder / "mina.jsonl"
    async with person(server, "mina") as mina, person(server, "joon", live=False) as joon:
        await mina.send("lobby", "a line of mine")
        await joon.send("lobby", "a line of joon's")
        assert await mina.export_to(path) == path.stat().st_size
        with pytest.raises(FileExistsError):
            await mina.export_to(path)
        assert b"".join([part async for part in mina.export()]) != b""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(folder) == ["mina.jsonl"]
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert all("type" in record for record in records)
    text = path.read_text()
    assert "a line of mine" in text
    assert "a line of joon's" not in text
    assert mina.token not in text


@pytest.mark.parametrize(("fate", "left"), [("anonymize", "said by mina"), ("erase", "")])
async def test_delete_account(server: Restartable, tmp_path: Path, fate: str, left: str) -> None:
    state = tmp_path / "state"
    mina = await person(server, "mina", state=state)
    receipt = await mina.send("lobby", "said by mina")
    phone = await madang.connect(server.target, token=mina.token)
    with pytest.raises(madang.CredentialsWrong):
        await mina.delete_account(OTHER, messages="erase")
    await mina.send("lobby", "still here")
    if fate == "erase":
        await mina.delete_account(PASSWORD, messages="erase")
    else:
        await mina.delete_account(PASSWORD, messages="anonymize")
    with pytest.raises(madang.Unauthenticated):
        await asyncio.wait_for(_read_on(phone), PATIENCE)
    await phone.close()
    assert not (state / "credentials.json").exists()
    with pytest.raises(madang.CredentialsWrong):
        await madang.connect(server.target, handle="mina", password=PASSWORD)
    async with person(server, "mina", live=False) as heir:  # the handle is free again
        assert heir.me.user_id != mina.me.user_id
        assert (await heir.name(mina.me.user_id)) != "mina"

        async def has_its_fate() -> bool:
            return (await heir.message("lobby", receipt.sequence)).text == left

        await eventually(has_its_fate, "texts are erased in the background")


async def test_a_guest_deletes_its_account_without_a_password(server: Restartable) -> None:
    guest = await madang.connect(server.target, handle="passing-by")
    await guest.delete_account(messages="erase")
    with pytest.raises(madang.Unauthenticated):
        await madang.connect(server.target, token=guest.token)


async def test_a_reset_of_the_password(server: Restartable) -> None:
    root = await owner(server)
    async with root, person(server, "mina") as mina:
        made = await root.admin.reset_password("mina")
        assert made.code not in repr(made)
        with pytest.raises(madang.PasswordNotAllowed):
            await madang.reset_password(server.target, made.code, "short")
        assert await madang.reset_password(server.target, made.code, OTHER) == "mina"
        with pytest.raises(madang.SessionRevoked):
            await asyncio.wait_for(_read_on(mina), PATIENCE)
        with pytest.raises(madang.CodeInvalid):
            await madang.reset_password(server.target, made.code, PASSWORD)
        async with madang.connect(server.target, handle="mina", password=OTHER, live=False):
            pass


@pytest.mark.parametrize("taken", [False, True])
async def test_an_answer_to_a_registration_that_is_lost(
    server: Restartable, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    """The account is there, and its owner gets in; with somebody else's handle, and another password, nobody does."""
    if taken:
        await (await person(server, "mina")).close()
    real, cuts = AccountService.register, 0
    async with Proxy(server.target) as proxy:

        async def cut_off(self: AccountService, *arguments: Any, **options: Any) -> Any:
            nonlocal cuts
            cuts += 1
            try:
                return await real(self, *arguments, **options)
            finally:
                if cuts == 1:
                    proxy.replace()  # nobody gets this answer

        monkeypatch.setattr(AccountService, "register", cut_off)
        password = OTHER if taken else PASSWORD
        registering = madang.register(proxy.target, "mina", password)
        if taken:
            with pytest.raises(madang.HandleTaken):
                await registering
        else:
            async with registering as mina:
                assert mina.me.handle == "mina"
                assert [user.handle for user in await mina.users()] == ["mina"]
    assert cuts == 2


async def test_a_bot_that_may_send_alone_finds_the_channel_of_a_name(server: Restartable) -> None:
    async with person(server, "mina") as mina:
        await mina.create_channel("alarms")
        bot = await mina.create_bot("beeper")
        await mina.add_member("alarms", bot)
        made = await mina.create_bot_token(bot, Scope.SEND)
        async with madang.connect(server.target, token=made.token, live=False) as beeper:
            await beeper.send("alarms", "beep")
            with pytest.raises(madang.ScopeMissing):
                await beeper.history("alarms")
        assert await stored_texts(mina, "alarms") == ["beep"]
