"""A connection that carries nothing and does not break: the server finds out, and the reader lacks nothing after."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from madang.node.embed import Server
from madang.services import heartbeat
from madang.v1 import heartbeat_service_pb2 as pb

from .checker import check
from .history import History
from .people import CALL, Connection, Person, Route, connect, make_channel, sign_in, stored_in
from .process import eventually
from .proxy import Proxy
from .readers import Reader
from .writers import SendWriter


async def status_of(connection: Connection, asking: Person, person: Person) -> pb.PresenceStatus.ValueType:
    """How present somebody is."""
    found = await connection.heartbeat.ListPresences(
        pb.ListPresencesRequest(user_ids=[person.user_id]), metadata=asking.metadata, timeout=CALL
    )
    return found.presences[0].status


async def test_ends_its_streams_and_loses_nothing(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "GRACE", 0.5)  # how long a reconnect may take unseen is not what is tested
    history, rng = History(), random.Random(seed)
    async with (
        Server(tmp_path / "data", keepalive=1.0, keepalive_timeout=1.0, limits=None) as server,
        Proxy(server.target) as proxy,
        connect(server.target) as connection,
        asyncio.TaskGroup() as group,
    ):
        mina, nari = await sign_in(connection, "mina"), await sign_in(connection, "nari")
        channel_id = await make_channel(connection, mina, "kitchen", [nari])
        reader = Reader(nari, Route(proxy.target), [channel_id], history, rng)
        writer = SendWriter(mina, Route(server.target), [channel_id], history, rng)
        reading, writing = group.create_task(reader.run()), group.create_task(writer.run())

        async def nari_is(status: pb.PresenceStatus.ValueType) -> bool:
            return await status_of(connection, mina, nari) == status

        await eventually(lambda: nari_is(pb.PRESENCE_STATUS_ONLINE), "the reader is here")
        await eventually(lambda: reader.read() > 10, "the reader reads")
        proxy.freeze()
        await eventually(lambda: nari_is(pb.PRESENCE_STATUS_OFFLINE), "the server lets go of the dead connection")
        before, missed = reader.read(), history.acknowledged
        proxy.replace()
        await eventually(lambda: nari_is(pb.PRESENCE_STATUS_ONLINE), "the reader is back")

        writer.stop()
        await asyncio.wait_for(writing, CALL)
        stored = {channel_id: await stored_in(connection, mina, channel_id)}
        heads = {channel_id: stored[channel_id][-1].sequence}
        await eventually(lambda: reader.stands_at(heads), "the reader has caught up")
        reading.cancel()
    assert before < missed, "there was something to miss"
    assert reader.streams == 2
    verdict = check(history, stored)
    assert not verdict.findings, str(verdict)
