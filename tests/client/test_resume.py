"""Coming back, after a break of the line, of the server, of the client itself: nothing is skipped, nothing doubled."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import signal
import sqlite3
import sys
from collections import deque
from contextlib import closing
from pathlib import Path

import pytest
from support import eventually

import madang
from madang.client import inbox
from madang.services.cursor import Cursor

from .conftest import PATIENCE, Restartable, person, stored_texts, texts, upto


async def test_after_a_restart_of_the_server(server: Restartable) -> None:
    async with (
        madang.connect(server.target, handle="mina") as mina,
        madang.connect(server.target, handle="joon", live=False) as joon,
    ):
        await joon.send("lobby", "one")
        assert await texts(mina, 1) == ["one"]
        await server.restart()
        await joon.send("lobby", "two", timeout=PATIENCE)
        seen = await upto(mina, madang.MessageEvent)
        lost = [event for event in seen if isinstance(event, madang.Disconnected)]
        assert lost
        assert all(isinstance(event.error, madang.Unavailable) for event in lost)
        assert madang.Connected(resumed=True) in seen
        assert not any(isinstance(event, madang.ChannelOpened) for event in seen)
        assert isinstance(seen[-1], madang.MessageEvent)
        assert seen[-1].message.text == "two"
        assert mina.online


async def test_users_that_changed_during_a_break(server: Restartable, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        madang.connect(server.target, handle="mina") as mina,
        madang.connect(server.target, handle="joon", live=False) as joon,
        madang.connect(server.target, token=mina.token, live=False) as phone,
    ):
        await joon.send("lobby", "one")
        assert await texts(mina, 1) == ["one"]
        with monkeypatch.context() as patch:
            patch.setattr(Cursor, "note_user", lambda self, user: None)  # nobody is told, as in a break
            await joon.set_handle("june")
            await phone.set_handle("minna")
        assert (await mina.name(joon.me.user_id), mina.me.handle) == ("joon", "mina")
        await server.restart()
        await joon.send("lobby", "two", timeout=PATIENCE)
        seen = await upto(mina, madang.MessageEvent)
        assert [event.user.handle for event in seen if isinstance(event, madang.UserChanged)] == ["minna", "june"]
        assert isinstance(seen[-1], madang.MessageEvent)
        assert seen[-1].author == joon.me
        assert (await mina.name(joon.me.user_id), mina.me.handle) == ("june", "minna")
        await server.restart()
        await joon.send("lobby", "three", timeout=PATIENCE)
        assert not any(isinstance(event, madang.UserChanged) for event in await upto(mina, madang.MessageEvent))


async def test_a_name_that_may_be_old_is_better_than_none(server: Restartable) -> None:
    async with (
        madang.connect(server.target, handle="mina") as mina,
        madang.connect(server.target, handle="joon", live=False) as joon,
    ):
        assert await mina.name(joon.me.user_id) == "joon"
        await upto(mina, madang.Connected)
        await server.restart()
        await upto(mina, madang.Connected)
        await server.stop()
        assert await mina.name(joon.me.user_id) == "joon"
        with pytest.raises(madang.Unavailable):
            await mina.name(99)


async def test_messages_from_while_the_client_was_away(server: Restartable, tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with person(server, "joon", live=False) as joon:
        async with person(server, "mina", state=state) as mina:
            room = await mina.create_channel("room")
            await joon.join(room)
            await joon.send("room", "one")
            await joon.send("room", "two")
            assert await texts(mina, 1) == ["one"]
            first = mina.me
        for number in range(700):
            joon.post("room", str(number))
        await joon.send("room", "last")
        async with madang.connect(server.target, state=state) as mina:
            assert mina.me == first
            # The one that was not dealt with comes again: nobody asked for the next.
            assert await texts(mina, 703) == ["one", "two", *map(str, range(700)), "last"]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(texts(mina, 1), 0.1)
        async with madang.connect(server.target, state=state) as mina:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(texts(mina, 1), 0.2)


async def test_a_channel_that_was_left_elsewhere_while_away(server: Restartable, tmp_path: Path) -> None:
    async with person(server, "mina", state=tmp_path) as mina:
        await mina.create_channel("room")
        await mina.create_channel("other")
        for _ in range(3):
            await upto(mina, madang.ChannelOpened)
        token = mina.token
    async with madang.connect(server.target, token=token, live=False) as phone:
        await phone.leave("room")
    async with madang.connect(server.target, state=tmp_path) as mina:
        opened = [await upto(mina, madang.ChannelOpened) for _ in range(2)]
        names = [event.channel.name for seen in opened for event in seen if isinstance(event, madang.ChannelOpened)]
        assert names == ["lobby", "other"]


async def test_only_some_channels(server: Restartable) -> None:
    async with person(server, "joon") as joon:
        for name in ("room", "other"):
            await joon.create_channel(name)
        with pytest.raises(madang.ChannelNotFound):
            await madang.connect(server.target, channels=["nowhere"])
        with pytest.raises(madang.NotAMember):
            await madang.connect(server.target, channels=["room"])
        async with madang.connect(server.target, token=joon.token, channels=["#room", 3]) as desk:
            for channel in ("lobby", "other", "room", "lobby", "room", "other"):
                await joon.send(channel, f"in {channel}")
            assert await texts(desk, 4) == ["in other", "in room", "in room", "in other"]
            await server.stop()
            await server.start()
            await joon.send("room", "again", timeout=PATIENCE)
            assert await texts(desk, 1) == ["again"]


async def test_a_channel_of_the_filter_that_was_left(server: Restartable) -> None:
    async with person(server, "mina") as mina:
        for name in ("room", "other"):
            await mina.create_channel(name)
        async with madang.connect(server.target, token=mina.token, channels=["room", "other"]) as desk:
            await mina.leave("room")
            closed = (await upto(desk, madang.ChannelClosed))[-1]
            assert isinstance(closed, madang.ChannelClosed)
            await server.restart()
            await mina.send("other", "still here", timeout=PATIENCE)
            assert await texts(desk, 1) == ["still here"]
            await mina.leave("other")
            await server.restart()
            with pytest.raises(madang.NotAMember):
                await texts(desk, 1)


async def test_a_server_that_went_back_to_a_backup(server: Restartable, tmp_path: Path) -> None:
    async with madang.connect(server.target, handle="mina") as mina:
        await mina.send("lobby", "one")
        await server.stop()
        shutil.copytree(server.data, tmp_path / "backup")
        await server.start()
        await mina.send("lobby", "two", timeout=PATIENCE)
        assert await texts(mina, 2) == ["one", "two"]
        await server.stop()
        shutil.rmtree(server.data)
        shutil.move(tmp_path / "backup", server.data)
        await server.start()
        reset = (await upto(mina, madang.ChannelReset))[-1]
        assert isinstance(reset, madang.ChannelReset)
        assert (reset.channel.name, reset.position) == ("lobby", 1)
        await mina.send("lobby", "another two", timeout=PATIENCE)
        assert await texts(mina, 1) == ["another two"]


@pytest.mark.parametrize("away", [True, False])
async def test_a_server_with_another_history(server: Restartable, tmp_path: Path, away: bool) -> None:
    state = tmp_path / "state"
    mina = await madang.connect(server.target, handle="mina", state=state)
    await mina.send("lobby", "one")
    assert await texts(mina, 1) == ["one"]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(texts(mina, 1), 0.1)
    if away:
        await mina.close()
    await server.stop()
    with sqlite3.connect(next(server.data.glob("*.db"))) as database:
        database.execute("UPDATE store_info SET value = 'another' WHERE key = 'store_id'")
    database.close()
    await server.start()
    if away:
        mina = await madang.connect(server.target, state=state)
    reset = (await upto(mina, madang.ChannelReset))[-1]
    assert isinstance(reset, madang.ChannelReset)
    assert (reset.channel.name, reset.position, mina.server.store_id) == ("lobby", 1, "another")
    await mina.close()


async def test_a_slow_reader_is_not_flooded(server: Restartable, monkeypatch: pytest.MonkeyPatch) -> None:
    put = waiting = 0
    real = inbox.Inbox.put

    async def counting(self: inbox.Inbox, items: deque[inbox.Item]) -> None:
        nonlocal put, waiting
        waiting += 1
        await real(self, items)
        waiting -= 1
        put += len(items)

    monkeypatch.setattr(inbox.Inbox, "put", counting)
    async with (
        madang.connect(server.target, handle="mina") as mina,
        madang.connect(server.target, handle="joon", live=False) as joon,
    ):
        posted = [joon.post("lobby", f"{n} " + "x" * 1000) for n in range(5000)]
        await asyncio.wait_for(posted[-1].stored(), PATIENCE)
        await eventually(lambda: waiting, "nobody reads: what comes has to wait at the door")
        assert put < 2500
        assert [text.split()[0] for text in await texts(mina, 5000)] == [str(n) for n in range(5000)]


async def test_a_cancelled_loop_loses_nothing(server: Restartable) -> None:
    async with madang.connect(server.target, handle="mina") as mina:
        posted = [mina.post("lobby", str(n)) for n in range(300)]
        seen: list[str] = []

        async def read() -> None:
            async for event in mina.events():
                if isinstance(event, madang.MessageEvent):
                    seen.append(event.message.text)

        async with asyncio.timeout(PATIENCE):
            for turns in itertools.cycle(range(8)):
                reading = asyncio.create_task(read())
                for _ in range(turns):
                    await asyncio.sleep(0)
                reading.cancel()
                await asyncio.wait([reading])
                if len(seen) >= 300:
                    break
        assert seen == [outgoing.text for outgoing in posted]


CLIENT = """
import asyncio, sys, madang
from collections import deque
async def main(target, state):
    async with madang.connect(target, handle="mina", state=state, live=False) as client:
        posted = deque()
        for number in range(100_000):
            posted.append(client.post("lobby", f"message {number}"))
            if len(posted) > 200:
                await posted.popleft().stored()
            if number == 100:
                print("going", flush=True)
asyncio.run(main(*sys.argv[1:]))
"""


def _left(state: Path) -> int:
    """How many messages the outbox in the state directory holds."""
    with closing(sqlite3.connect(state / "state.db")) as database:
        return int(database.execute("SELECT count(*) FROM outbox").fetchone()[0])


async def test_a_client_that_is_killed_goes_on_with_its_outbox(server: Restartable, tmp_path: Path) -> None:
    state = tmp_path / "state"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, server.target, str(state), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"going\n"
    async with madang.connect(server.target) as other:
        await texts(other, 250)
    await server.stop()  # what is posted now gathers in the outbox
    await eventually(lambda: _left(state) > 100, "what is posted gathers in the outbox")
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await server.start()
    async with madang.connect(server.target, state=state, live=False) as client:
        assert client.me.handle == "mina"
        pending = client.pending
        assert len(pending) > 50
        async with asyncio.timeout(PATIENCE):
            for outgoing in pending:
                await outgoing.stored()
        stored = await stored_texts(client, "lobby")
        assert stored == [f"message {number}" for number in range(len(stored))]
        assert len(stored) > 200
        assert pending[-1].text == stored[-1]
    database = sqlite3.connect(state / "state.db")
    assert database.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    database.close()
    assert json.loads((state / "credentials.json").read_text())["handle"] == "mina"


async def test_two_clients_of_one_directory(server: Restartable, tmp_path: Path) -> None:
    async with madang.connect(server.target, state=tmp_path):
        with pytest.raises(madang.StateInUse):
            await madang.connect(server.target, state=tmp_path)
    async with madang.connect(server.target, state=tmp_path):
        pass
