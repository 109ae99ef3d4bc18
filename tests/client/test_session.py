"""The session's end, and who one is afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

import madang
from madang.client.home import Credentials, Home
from madang.core.models import Draft, Message
from madang.services.channel import ChannelService

from .conftest import PATIENCE, Restartable, person, stored_texts, upto


async def test_sign_out(server: Restartable, tmp_path: Path) -> None:
    client = await madang.connect(server.target, handle="mina", state=tmp_path)
    client.post("lobby", "goodbye")
    token = client.token
    reading = asyncio.create_task(_count(client))
    await client.sign_out()
    assert await reading > 0
    assert [event async for event in client.events()] == []
    with pytest.raises(madang.ClientClosed):
        await client.users()
    await client.close()
    with pytest.raises(madang.SessionRevoked):
        await madang.connect(server.target, token=token)
    async with madang.connect(server.target, handle="mina", state=tmp_path) as another:
        assert another.me.handle == "mina-2"
        assert await stored_texts(another, "lobby") == ["goodbye"]


async def _count(client: madang.Client) -> int:
    return len([event async for event in client.events()])


async def test_sign_out_while_nobody_is_there(server: Restartable, tmp_path: Path) -> None:
    client = await madang.connect(server.target, handle="mina", state=tmp_path)
    outgoing = client.post("lobby", "never mind")
    await server.stop()
    with pytest.raises(madang.Unavailable):
        await client.sign_out(drain=0.1)
    await server.start()
    await asyncio.wait_for(outgoing.stored(), PATIENCE)  # the client goes on
    await client.sign_out()


async def test_a_session_that_is_revoked(server: Restartable) -> None:
    mina = await madang.connect(server.target, handle="mina")
    async with madang.connect(server.target, token=mina.token, live=False) as phone:
        await mina.send("lobby", "one")
        await phone.sign_out()
    await upto(mina, madang.MessageEvent)
    with pytest.raises(madang.SessionRevoked):
        await upto(mina, madang.MessageEvent)
    assert not mina.online
    with pytest.raises(madang.SessionRevoked):
        mina.post("lobby", "two")
    with pytest.raises(madang.SessionRevoked):
        await mina.users()
    await mina.close()
    assert [event async for event in mina.events()] == []


async def test_a_revoked_session_without_a_live_stream(server: Restartable) -> None:
    mina = await madang.connect(server.target, live=False)
    await mina.send("lobby", "one")
    async with madang.connect(server.target, token=mina.token, live=False) as phone:
        await phone.sign_out()
    with pytest.raises(madang.SessionRevoked):
        await mina.send("lobby", "two", timeout=PATIENCE)
    await mina.close()


async def test_a_saved_session_that_is_not_good_any_more(server: Restartable, tmp_path: Path) -> None:
    mina = await madang.connect(server.target, handle="mina", state=tmp_path)
    token = mina.token
    await server.stop()
    kept = mina.post("lobby", "for later")
    await mina.close(drain=0.1)
    assert kept.receipt is None
    await server.start()
    async with madang.connect(server.target, token=token, live=False) as phone:
        await phone.sign_out()
    async with madang.connect(server.target, handle="mina", state=tmp_path) as again:
        assert again.me.handle == "mina-2"
        assert again.token != token
        assert again.pending == []
        failed = await _sent(again)
        assert (failed.text, failed.state) == ("for later", madang.SendState.FAILED)
        assert isinstance(failed.error, madang.SessionRevoked)
        await again.send("lobby", "mine")
        assert await stored_texts(again, "lobby") == ["mine"]
    async with madang.connect(server.target, state=tmp_path) as same:
        assert same.me == again.me
        assert not any(isinstance(event, madang.Sent) for event in await upto(same, madang.ChannelOpened))


async def _sent(client: madang.Client) -> madang.Outgoing:
    sent = (await upto(client, madang.Sent))[-1]
    assert isinstance(sent, madang.Sent)
    return sent.outgoing


async def _leave_unanswered(client: madang.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close a client of which a message is stored, but that was never told."""
    stored = asyncio.Event()
    real = ChannelService.post

    def silent(self: ChannelService, drafts: Sequence[Draft]) -> asyncio.Future[list[Message | madang.MadangError]]:
        real(self, drafts).add_done_callback(lambda _: stored.set())
        return asyncio.get_running_loop().create_future()

    with monkeypatch.context() as patch:
        patch.setattr(ChannelService, "post", silent)
        client.post("lobby", "said once")
        await asyncio.wait_for(stored.wait(), PATIENCE)
        await client.close(drain=0)


async def test_what_was_stored_unanswered_is_not_said_again_by_a_new_guest(
    server: Restartable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mina = await madang.connect(server.target, handle="mina", state=tmp_path)
    await _leave_unanswered(mina, monkeypatch)
    async with madang.connect(server.target, token=mina.token, live=False) as phone:
        await phone.sign_out()
    async with madang.connect(server.target, handle="mina", state=tmp_path) as again:
        assert isinstance((await _sent(again)).error, madang.SessionRevoked)
        (opened,) = [e for e in await upto(again, madang.ChannelOpened) if isinstance(e, madang.ChannelOpened)]
        assert opened.position == opened.channel.sequence == 1  # what mina had read is not what her heir has
        await again.send("lobby", "last")
        assert [(m.author_id, m.text) async for m in again.messages("lobby")] == [
            (mina.me.user_id, "said once"),
            (again.me.user_id, "last"),
        ]


async def test_what_was_stored_unanswered_is_stored_once_for_the_same_user(
    server: Restartable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mina = await madang.connect(server.target, handle="mina", state=tmp_path)
    await _leave_unanswered(mina, monkeypatch)
    async with madang.connect(server.target, token=mina.token, state=tmp_path) as again:
        assert (await _sent(again)).state is madang.SendState.STORED
        assert await stored_texts(again, "lobby") == ["said once"]


async def test_the_outbox_is_not_for_the_user_of_another_token(server: Restartable, tmp_path: Path) -> None:
    mina = await madang.connect(server.target, handle="mina", state=tmp_path)
    async with madang.connect(server.target, handle="joon", live=False) as joon:
        pass
    await server.stop()
    mina.post("lobby", "in the name of mina")
    await mina.close(drain=0)
    await server.start()
    async with madang.connect(server.target, token=joon.token, state=tmp_path) as other:
        assert other.me.handle == "joon"
        error = (await _sent(other)).error
        assert isinstance(error, madang.NotPermitted)
        assert "only mina" in str(error)
        assert await stored_texts(other, "lobby") == []


async def test_a_crash_between_two_identities_sends_nothing(
    server: Restartable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mina = await madang.connect(server.target, handle="mina", state=tmp_path)
    await server.stop()
    mina.post("lobby", "in the name of mina")
    await mina.close(drain=0)
    await server.start()
    async with madang.connect(server.target, token=mina.token, live=False) as phone:
        await phone.sign_out()
    real = Home.keep

    async def crash(self: Home, credentials: Credentials) -> None:
        await real(self, credentials)
        raise OSError("the process is killed here")

    with monkeypatch.context() as patch:
        patch.setattr(Home, "keep", crash)
        with pytest.raises(OSError, match="killed"):
            await madang.connect(server.target, state=tmp_path)
    async with madang.connect(server.target, state=tmp_path) as again:
        assert again.pending == []
        await again.send("lobby", "mine")
        assert await stored_texts(again, "lobby") == ["mine"]


async def test_a_server_that_is_new_at_an_old_address(server: Restartable, tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with person(server, "joon", live=False) as joon, madang.connect(server.target, state=state) as mina:
        await joon.create_channel("room")
        await mina.join("room")
        await server.stop()
        mina.post("room", "meant for the room of the old server")
        await mina.close(drain=0.1)
    server.data = tmp_path / "new"
    await server.start()
    async with madang.connect(server.target, handle="mina", state=state) as mina:
        assert isinstance((await _sent(mina)).error, madang.TokenInvalid)
        assert mina.pending == []


async def test_a_state_directory_of_another_server(server: Restartable, tmp_path: Path) -> None:
    async with madang.connect(server.target, state=tmp_path):
        pass
    async with madang.Server() as other:
        with pytest.raises(madang.StateError, match="belongs to the server"):
            await madang.connect(other.target, state=tmp_path)
    async with madang.connect(server.target, state=tmp_path):  # and is as good as before
        pass


async def test_the_fixture(madang_server: madang.Server) -> None:
    async with madang.connect(madang_server.target) as client:
        assert (await client.send("lobby", "hello")).sequence == 1


def test_the_fixture_without_a_loop(madang_server: madang.Server) -> None:
    async def chat() -> int:
        async with madang.connect(madang_server.target, live=False) as client:
            return (await client.send("lobby", "hello")).sequence

    assert asyncio.run(chat()) == 1
