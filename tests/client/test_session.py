"""The session's end, and who one is afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import madang

from .conftest import PATIENCE, Restartable, stored_texts, upto


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
        for outgoing in again.pending:
            await asyncio.wait_for(outgoing.stored(), PATIENCE)
        assert await stored_texts(again, "lobby") == ["for later"]
        assert again.token != token


async def test_a_server_that_is_new_at_an_old_address(server: Restartable, tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with madang.connect(server.target, handle="mina", state=state) as mina:
        await mina.create_channel("room")
        await server.stop()
        mina.post("room", "meant for the room of the old server")
        await mina.close(drain=0.1)
    server.data = tmp_path / "new"
    await server.start()
    async with madang.connect(server.target, handle="mina", state=state) as mina:
        sent = (await upto(mina, madang.Sent))[-1]
        assert isinstance(sent, madang.Sent)
        assert isinstance(sent.outgoing.error, madang.ChannelNotFound)
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
