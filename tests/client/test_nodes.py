"""A server of several addresses: which are tried, and how a client moves from one to another."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
from parts.ports import free_port

import madang
from madang.client.connect import look_at
from madang.client.nodes import Nodes, split_address, split_targets

from .conftest import PASSWORD, Restartable, stored_texts, texts, upto


def test_targets() -> None:
    assert split_targets("a:1") == ["a:1"]
    assert split_targets(" a:1,b:2 , a:1,") == ["a:1", "b:2"]
    assert split_targets("") == [""]
    assert split_address("a") == ("a", 50050)
    assert split_address("[::1]:7") == ("::1", 7)


def test_what_is_told_comes_first_and_everything_once() -> None:
    nodes = Nodes(["a:1", "b:1", "c:1"], bare=False, dice=itertools.count().__next__)
    assert nodes.are_several
    nodes.told(["d:1", "b:1", "d:1", ""])
    assert nodes.others("b:1") == ["d:1", "a:1", "c:1"]
    nodes.told(["b:1"])
    assert nodes.others("b:1") == ["a:1", "c:1"]


def test_what_did_not_answer_comes_last() -> None:
    nodes = Nodes(["a:1", "b:1"], bare=False, dice=itertools.count().__next__)
    nodes.told(["c:1", "d:1"])
    nodes.missed("c:1")
    assert nodes.others("a:1") == ["d:1", "b:1", "c:1"]
    nodes.reached("c:1")
    assert nodes.others("a:1") == ["c:1", "d:1", "b:1"]


def test_one_is_not_several() -> None:
    nodes = Nodes(["a:1"], bare=False)
    assert (nodes.are_several, nodes.first(), nodes.others("a:1")) == (False, "a:1", [])
    nodes.told(["a:1"])
    assert not nodes.are_several
    nodes.told(["a:1", "b:1"])
    assert (nodes.are_several, nodes.others("a:1")) == (True, ["b:1"])


def test_a_crowd_spreads() -> None:
    targets = [f"{letter}:1" for letter in "abcd"]
    assert {Nodes(targets, bare=False).first() for _ in range(200)} == set(targets)
    nodes = Nodes(targets, bare=False)
    assert {nodes.others("a:1")[0] for _ in range(200)} == {"b:1", "c:1", "d:1"}


def test_what_is_said_bare_to_this_machine_stays_on_it() -> None:
    near, far = Nodes(["localhost:1"], bare=True), Nodes(["chat.example.org:1"], bare=True)
    for nodes in (near, far):
        nodes.told(["127.0.0.1:2", "192.0.2.1:3"])
    assert near.others("localhost:1") == ["127.0.0.1:2"]
    assert set(far.others("chat.example.org:1")) == {"127.0.0.1:2", "192.0.2.1:3"}


class Moving(Restartable):
    """A server that has two addresses, and is at one of them at a time."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.homes = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        self.target = self.homes[0]

    @property
    def both(self) -> str:
        """Both addresses."""
        return ",".join(self.homes)

    async def move(self) -> None:
        """Stop it, and start it at the other address."""
        await self.stop()
        self.homes.reverse()
        self.target = self.homes[0]
        await self.start()


@pytest.fixture
async def moving(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = Moving(tmp_path / "server")
    await made.start()
    yield made
    await made.stop()


async def test_any_address_will_do(moving: Moving) -> None:
    """Whichever the client happens to try first."""
    for _ in range(6):
        async with madang.connect(moving.both, live=False) as client:
            assert client.server.target == moving.target
    assert (await look_at(moving.both)).target == moving.target


async def test_the_client_moves_and_nothing_is_lost(moving: Moving) -> None:
    async with (
        madang.connect(moving.both, handle="mina", presence=True) as mina,
        madang.connect(moving.both, handle="joon", live=False) as joon,
    ):
        for number in range(3):
            before = mina.server.target
            await joon.send("lobby", f"before {number}", timeout=20)
            assert await texts(mina, 1) == [f"before {number}"]
            await moving.stop()
            waiting = [joon.post("lobby", f"{number} {count}") for count in range(50)]
            moving.homes.reverse()
            moving.target = moving.homes[0]
            await moving.start()
            for outgoing in waiting:
                await asyncio.wait_for(outgoing.stored(), 20)
            assert await texts(mina, 50) == [f"{number} {count}" for count in range(50)]
            assert mina.server.target == moving.target != before
        stored = await stored_texts(joon, "lobby")
        assert len(stored) == len(set(stored)) == 153
        assert (await mina.user("joon")).handle == "joon"


async def test_a_call_that_only_reads_is_made_again_elsewhere(moving: Moving) -> None:
    """The client has no live stream that could have noticed before."""
    async with madang.connect(moving.both, live=False) as client:
        await moving.move()
        assert [user.handle for user in await client.users()] == [client.me.handle]
        await moving.move()
        with pytest.raises(madang.ServerUnreachable):
            await client.create_channel("kitchen")  # who knows whether it was made
        await client.create_channel("kitchen")


async def test_what_is_kept_is_good_at_every_address(moving: Moving, tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with madang.register(moving.homes[0], "mina", PASSWORD, state=state) as mina:
        token = mina.token
    await moving.move()
    async with madang.connect(moving.homes[0], state=state) as mina:
        assert mina.token == token
    async with madang.connect(moving.both, state=state) as mina:
        assert mina.token == token


async def test_another_server_is_not_gone_to(tmp_path: Path) -> None:
    """Two addresses that belong to two servers: a mistake, but nothing of one must get to the other."""
    servers = [await madang.Server(tmp_path / name).start() for name in ("one", "other")]
    client = await madang.connect(",".join(server.target for server in servers))
    servers.sort(key=lambda server: server.target != client.server.target)
    mine, theirs = servers
    await upto(client, madang.Connected)
    await mine.stop()
    for _ in range(3):
        await upto(client, madang.Disconnected)
    assert client.server.target == mine.target
    await client.close(drain=0)
    await theirs.stop()
