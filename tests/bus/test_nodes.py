"""Which nodes there are: heard of at once, forgotten in time, whatever happens to NATS meanwhile."""

from __future__ import annotations

import asyncio
import multiprocessing
from pathlib import Path
from typing import Any

import nats as nats_py
import pytest
from parts.nats import Nats
from support import eventually

from madang.bus.errors import BusError
from madang.bus.link import NatsOptions
from madang.bus.local import LocalNodes
from madang.bus.nats import NatsBus
from madang.bus.nodes import NatsNodes
from madang.bus.tasks import end
from madang.bus.v1 import event_pb2, node_pb2
from madang.core.claims import Claim
from madang.core.presence import Status

from .conftest import QUICK, info, node


def ids(nodes: NatsNodes) -> list[str]:
    return [one.node_id for one in nodes.known()]


def test_one_node_alone_knows_itself() -> None:
    nodes = LocalNodes()
    assert nodes.known() == []
    nodes.announce(info("a"))
    nodes.announce(info("a", load=3))
    assert nodes.known() == [info("a", load=3)]
    assert nodes.kept() == {}


async def test_nodes_know_each_other_and_what_each_tells_of_itself(nats: Nats, cluster: str) -> None:
    async with node(nats, cluster, "a") as (_, first), node(nats, cluster, "b") as (_, second):
        await eventually(lambda: first.known() == second.known() == [info("a"), info("b")], "both know both")
        second.announce(info("b", load=7, draining=True))
        await eventually(lambda: info("b", load=7, draining=True) in first.known(), "what changes is told")
    assert ids(first) == ["a"], "the other one went first, and said so"


async def test_nodes_of_another_store_are_strangers(nats: Nats, cluster: str) -> None:
    """Nobody gave the two clusters names."""
    async with node(nats, cluster, "a", "blue") as (_, first), node(nats, cluster, "b", "red") as (_, second):
        await eventually(lambda: first.strangers() != [] != second.strangers(), "they hear of each other")
        assert (ids(first), ids(second)) == (["a"], ["b"])
        assert (first.kept(), second.kept()) == ({}, {})
        async with node(nats, cluster, "c", "blue") as (_, third):
            assert [one.node_id for one in third.strangers()] == ["b"]
            await eventually(lambda: ids(first) == ids(third) == ["a", "c"], "it has company of its own")
    assert LocalNodes().strangers() == []


async def test_whoever_comes_later_knows_at_once(nats: Nats, cluster: str) -> None:
    async with node(nats, cluster, "a") as (_, first):
        async with node(nats, cluster, "b") as (_, second):
            await eventually(lambda: ids(first) == ["a", "b"], "it is there")
            third_bus = NatsBus(NatsOptions((nats.url,), cluster))
            third = NatsNodes(third_bus, QUICK)
            await third_bus.start(5)
            await third.start()
            assert ids(third) == ["a", "b"], "from the bucket, without waiting for anybody"
            await third.close()
            await third_bus.close()
        assert ids(second) == ["a", "b"]


async def test_a_node_that_is_not_heard_is_gone(nats: Nats, cluster: str) -> None:
    async with node(nats, cluster, "a") as (_, first), node(nats, cluster, "b") as (bus, second):
        await eventually(lambda: ids(first) == ["a", "b"], "it is there")
        for task in second._tasks:  # as if its loop hung
            await end(task)
        await eventually(lambda: ids(first) == ["a"], "it is gone")
        assert bus.is_connected


async def test_a_killed_process_is_gone(nats: Nats, cluster: str) -> None:
    async with node(nats, cluster, "a") as (_, first):
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_live, args=(nats.url, cluster, "b"), daemon=True)
        process.start()
        try:
            await eventually(lambda: ids(first) == ["a", "b"], "it is there")
            process.kill()
            await eventually(lambda: ids(first) == ["a"], "it is gone")
        finally:
            process.kill()
            await asyncio.to_thread(process.join)


async def test_what_nodes_know_survives_a_restart_of_nats(own_nats: Nats, cluster: str) -> None:
    async with node(own_nats, cluster, "a") as (here, first), node(own_nats, cluster, "b") as (there, second):
        await eventually(lambda: ids(first) == ids(second) == ["a", "b"], "both know both")
        own_nats.stop()
        await eventually(lambda: not here.is_connected and not there.is_connected, "it is away")
        await asyncio.sleep(QUICK.gone * 1.2)  # longer than a node may be silent
        assert ids(first) == ids(second) == ["a", "b"], "nobody dies of a bus that is away"
        own_nats.start()
        await eventually(lambda: here.is_connected and there.is_connected, "it is back")
        second.announce(info("b", load=9))
        await eventually(lambda: info("b", load=9) in first.known(), "they hear each other again")
        async with node(own_nats, cluster, "c") as (_, third):
            await eventually(lambda: ids(third) == ["a", "b", "c"], "the buckets were made again")


async def test_a_bucket_that_is_deleted_is_made_again(own_nats: Nats, cluster: str) -> None:
    async with node(own_nats, cluster, "a") as (_, first), node(own_nats, cluster, "b") as (_, second):
        await eventually(lambda: ids(first) == ids(second) == ["a", "b"], "both know both")
        client = await nats_py.connect(own_nats.url)
        stream = client.jetstream()
        await stream.delete_key_value(f"madang-{cluster}-nodes")

        async def is_there() -> bool:
            try:
                return (await stream.stream_info(f"KV_madang-{cluster}-nodes")).state.messages == 2
            except nats_py.js.errors.NotFoundError:
                return False

        async with asyncio.timeout(20):
            while not await is_there():
                assert ids(first) == ids(second) == ["a", "b"], "they hear each other without it"
        await client.close()


async def test_clusters_do_not_know_each_other(nats: Nats, cluster: str) -> None:
    async with (
        node(nats, cluster, "a") as (_, first),
        node(nats, f"{cluster}-2", "b") as (_, second),
        node(nats, cluster, "c"),
    ):
        await eventually(lambda: ids(first) == ["a", "c"], "those of one cluster do")
        assert ids(second) == ["b"]


async def test_garbage_in_the_bucket_is_ignored(nats: Nats, cluster: str) -> None:
    async with node(nats, cluster, "a") as (_, first):
        client = await nats_py.connect(nats.url)
        bucket = await client.jetstream().key_value(f"madang-{cluster}-nodes")
        await bucket.put("x", b"\xff\xff")
        await bucket.put("y", b"\x0a\x01z")
        await client.close()
        async with node(nats, cluster, "b") as (_, second):
            await eventually(lambda: ids(first) == ids(second) == ["a", "b"], "whoever makes sense is known")


@pytest.mark.parametrize(
    "record",
    [
        {"node_id": "x", "name": "kind\n2026-01-01 ERROR madang: the disk is gone"},
        {"node_id": "x", "name": "\x1b[2J"},
        {"node_id": "x", "name": "n" * 256},
        {"node_id": "x", "version": "1.0\r"},
        {"node_id": "x", "addresses": {"agent": "evil.example:1\n"}},
        {"node_id": "x", "addresses": {"age\x9bnt": "evil.example:1"}},
        {"node_id": "x\x1b[2J"},
        {"node_id": "x" * 65},
    ],
    ids=["a line", "an order", "long", "version", "address", "service", "node_id", "long node_id"],
)
async def test_a_record_that_no_node_would_write_is_ignored(
    nats: Nats, cluster: str, caplog: pytest.LogCaptureFixture, record: dict[str, Any]
) -> None:
    """What it says would go into the log, and to clients."""
    async with node(nats, cluster, "a") as (_, first):
        client = await nats_py.connect(nats.url)
        data = node_pb2.Node(**record).SerializeToString()
        for _ in range(2):
            await client.publish(f"$KV.madang-{cluster}-nodes.{record['node_id']}", data)
        await client.close()
        async with node(nats, cluster, "b") as (_, second):
            await eventually(lambda: ids(first) == ids(second) == ["a", "b"], "whoever makes sense is known")
    lines = [entry.getMessage() for entry in caplog.records if entry.name == "madang.bus"]
    assert all(line.isprintable() and len(line) < 300 for line in lines)
    assert any("not a record of a node" in line for line in lines)
    assert len(lines) < 12, "not a line for each"


async def test_claims_are_found_in_parts(nats: Nats, cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("madang.bus.nodes.PART", 10)
    claims = [Claim(user_id, True, user_id, Status.AWAY, 3) for user_id in range(1, 36)]
    async with node(nats, cluster, "a") as (_, first), node(nats, cluster, "b") as (_, second):
        assert await second.find("a") is None
        first.keep(4, lambda: claims)
        await eventually(lambda: second.kept().get("a") == 4, "they are told to be there")
        assert await second.find("a") == (4, claims)
        first.keep(5, lambda: claims[:3])
        await eventually(lambda: second.kept().get("a") == 5, "the next ones too")
        assert await second.find("a") == (5, claims[:3])


async def test_claims_that_make_no_sense_here_are_not_found(nats: Nats, cluster: str) -> None:
    async with node(nats, cluster, "a") as (_, first):
        client = await nats_py.connect(nats.url)
        bucket = await client.jetstream().key_value(f"madang-{cluster}-presence")
        newer = node_pb2.Claims(version=1, parts=1)
        newer.claims.append(event_pb2.Claim.FromString(b"\x08\x01\x10\x01\x20\x4d"))  # wanted: 77
        await bucket.put("newer.0", newer.SerializeToString())
        await client.close()
        assert await first.find("newer") is None


async def test_without_jetstream_it_is_told_what_to_do(tmp_path: Path, cluster: str) -> None:
    with Nats(tmp_path, jetstream=False) as server:
        bus = NatsBus(NatsOptions((server.url,), cluster))
        nodes = NatsNodes(bus, QUICK)
        await bus.start(5)
        with pytest.raises(BusError, match="start it with `nats-server -js`"):
            await nodes.start()
        await bus.close()


def test_a_clusters_name_that_nats_would_misread_is_refused() -> None:
    for name in ("", "a.b", "a b", "*", ">"):
        with pytest.raises(BusError, match="a cluster's name"):
            NatsBus(NatsOptions(("nats://127.0.0.1:1",), name))


def _live(url: str, cluster: str, node_id: str) -> None:
    """A process that is a node, until it is killed."""

    async def live() -> None:
        bus = NatsBus(NatsOptions((url,), cluster))
        nodes = NatsNodes(bus, QUICK)
        await bus.start(5)
        await nodes.start()
        nodes.announce(info(node_id))
        await asyncio.Event().wait()

    asyncio.run(live())
