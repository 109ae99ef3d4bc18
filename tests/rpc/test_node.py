"""The node: where it listens, what else it answers, what it bears, and how it shuts down."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support import PATIENCE

from madang.node.embed import Server
from madang.node.listeners import ListenError
from madang.node.node import COME_BACK_AFTER
from madang.node.settings import Address
from madang.storage.errors import StoreLocked
from madang.v1 import agent_service_pb2 as pb

from .calls import FILES, METHODS, Caller, Live, Stream, connect, item, path_of, sign_in

SERVICES = {service.full_name for file in FILES for service in file.services_by_name.values()}
SERVING = health_pb2.HealthCheckResponse.SERVING
DRAINING = ("UNAVAILABLE", "SERVER_DRAINING")
CUT_SHORT = "Internal error from Core"
"""How gRPC's client ends a stream that the server has ended while the client was writing: it forgets the status."""
SOMEWHERE = Address("127.0.0.1", 0)


async def code_of(channel: grpc.aio.Channel, path: str, metadata: tuple[tuple[str, str], ...] = ()) -> str:
    """How a call of any path with an empty request ends."""
    call = channel.unary_unary(path, lambda raw: raw, lambda raw: raw)(b"", metadata=metadata, timeout=PATIENCE)
    code: grpc.StatusCode = await call.code()
    return code.name


async def health(channel: grpc.aio.Channel, service: str = "") -> int:
    """What the server says of a service's health."""
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE)
    status: int = answer.status
    return status


async def reflected(channel: grpc.aio.Channel) -> set[str]:
    """The services that the server says it has."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    answers = [answer async for answer in stub.ServerReflectionInfo(asked, timeout=PATIENCE)]
    return {service.name for answer in answers for service in answer.list_services_response.service}


async def test_unknown_methods(channel: grpc.aio.Channel, mina: Caller) -> None:
    for path in (
        "/madang.v1.LobbyService/Nonsense",
        "/madang.v1.NonsenseService/GetMe",
        "/madang.v1.LobbyService",
        "/madang.v2.LobbyService/GetUser",
        "/nonsense",
    ):
        assert await code_of(channel, path) == "UNIMPLEMENTED"
        assert await code_of(channel, path, mina.metadata) == "UNIMPLEMENTED"


async def test_health(channel: grpc.aio.Channel) -> None:
    for service in ("", *SERVICES):
        assert await health(channel, service) == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health(channel, "madang.v1.NonsenseService")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection(channel: grpc.aio.Channel) -> None:
    assert await reflected(channel) == SERVICES | {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_second_server_on_the_same_port(server: Server, mina: Caller, tmp_path: Path, host: str) -> None:
    _, _, port = server.target.rpartition(":")
    with pytest.raises(ListenError) as caught:
        await Server(tmp_path, listen=f"{host}:{port}").start()
    assert caught.value.address == Address(host, int(port))
    assert str(caught.value).startswith(f"cannot listen on {host}:{port}")
    assert (await mina.call("GetMe")).user.handle == "mina"
    async with Server(tmp_path) as another, connect(another.target) as channel:  # nothing of the failed one is left
        await sign_in(channel, "mina")


async def test_a_second_server_on_the_same_data(tmp_path: Path) -> None:
    async with Server(tmp_path) as server, connect(server.target) as channel:
        with pytest.raises(StoreLocked):
            await Server(tmp_path).start()
        await sign_in(channel, "mina")


@pytest.fixture
async def spread() -> AsyncIterator[Server]:
    """A server whose services have addresses of their own."""
    async with Server(heartbeat=SOMEWHERE, lobby=SOMEWHERE, channel=SOMEWHERE, drain=0.5) as running:
        yield running


async def test_services_with_addresses_of_their_own(spread: Server) -> None:
    async with connect(spread.target) as channel:
        answer = await Caller(channel).call("SignIn", guest={"handle": "mina"})
        assert answer.endpoints == (await Caller(channel).call("GetServer")).endpoints
    where = {
        "AgentService": spread.target,
        "HeartbeatService": answer.endpoints.heartbeat,
        "LobbyService": answer.endpoints.lobby,
        "ChannelService": answer.endpoints.channel,
    }
    assert len(set(where.values())) == 4
    metadata = (("authorization", f"Bearer {answer.token}"),)
    for name, target in where.items():
        async with connect(target) as own:
            assert await health(own, f"madang.v1.{name}") == SERVING
            assert {each for each in await reflected(own) if "madang" in each} == {f"madang.v1.{name}"}
            for method in METHODS.values():
                if not method.server_streaming and method.name != "SignOut":
                    code = await code_of(own, path_of(method.name), metadata)
                    assert (code != "UNIMPLEMENTED") == (method.containing_service.name == name)


async def test_one_session_over_several_addresses(spread: Server) -> None:
    async with connect(spread.target) as channel:
        mina = await sign_in(channel, "mina")
        endpoints = (await mina.call("GetServer")).endpoints
        async with connect(endpoints.channel) as talking, connect(endpoints.heartbeat) as watching:
            live = await Caller(talking, mina.token).subscribe()
            await live.reaches(1, await Caller(talking, mina.token).say(1, "hello"))
            watch = Caller(watching, mina.token).stream("WatchPresence")
            assert (await watch.read()).presences[0].user_id == mina.user_id
            await mina.call("SignOut")
            for stream in (live.stream, watch):
                assert (await stream.ending()).what == ("UNAUTHENTICATED", "SESSION_REVOKED")


async def test_one_service_apart() -> None:
    async with Server(channel=SOMEWHERE) as server, connect(server.target) as channel:
        endpoints = (await Caller(channel).call("GetServer")).endpoints
        assert endpoints == pb.Endpoints(channel=endpoints.channel)
        mina = await sign_in(channel, "mina")
        assert (await mina.call("CreateChannel", name="kitchen")).channel.channel_id == 2
        assert await code_of(channel, path_of("Send"), mina.metadata) == "UNIMPLEMENTED"
        async with connect(endpoints.channel) as talking:
            assert await Caller(talking, mina.token).say(2, "hello") == 2


async def test_garbage_on_the_port(server: Server, mina: Caller, kitchen: int) -> None:
    noise = random.Random(1)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = bytes.fromhex("000000040000000000")
    live = await mina.subscribe()
    host, _, port = server.target.rpartition(":")
    for garbage in (
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        noise.randbytes(65536),
        preface[:10],
        preface + settings,
        preface + noise.randbytes(65536),
        preface + settings + b"\xff\xff\xff" + bytes(65536),
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        with suppress(OSError):  # the server may hang up, at any moment
            writer.write(garbage)
            writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                await reader.read()
        writer.close()
        await live.reaches(kitchen, await mina.say(kitchen, "still here"))


async def test_drain(tmp_path: Path) -> None:
    """Streams are told when to come back; whatever was acknowledged is there when the server is."""
    server = await Server(tmp_path, drain=5.0, limits=None).start()
    async with connect(server.target) as channel:
        mina = await sign_in(channel, "mina")
        kitchen = (await mina.call("CreateChannel", name="kitchen")).channel.channel_id
        live, watch = await mina.subscribe(), mina.stream("WatchPresence")
        await watch.read()
        idle, *posts = [mina.post() for _ in range(4)]
        await idle.write(sends=[item(kitchen, "hello")])
        await idle.read()
        busy = [asyncio.Event() for _ in posts]
        writing = [
            asyncio.create_task(write(post, kitchen, f"{number}", stirred))
            for number, (post, stirred) in enumerate(zip(posts, busy, strict=True))
        ]
        for stirred in busy:
            await stirred.wait()
        stopping = asyncio.create_task(server.stop())
        acknowledged = [await task for task in writing]
        for ending in [await stream.ending() for stream in (live.stream, watch, idle)]:
            assert (ending.what, ending.retry_after) == (DRAINING, COME_BACK_AFTER)
        for ending in [await post.ending() for post in posts]:
            assert ending.what == DRAINING or ending.text == CUT_SHORT
        async with asyncio.timeout(PATIENCE):
            await stopping
    async with Server(tmp_path) as server, connect(server.target) as channel:
        await check_stored(Caller(channel, mina.token), kitchen, acknowledged)


async def write(post: Stream, channel_id: int, name: str, busy: asyncio.Event) -> list[str]:
    """Post until the stream ends; what was acknowledged, in order. `busy` is set after some of it."""
    stored: list[str] = []
    number = 0
    try:
        while True:
            texts = [f"{name} {number + offset}" for offset in range(20)]
            number += 20
            await post.write(sends=[item(channel_id, text) for text in texts])
            results = (await post.read()).results
            stored += [text for text, result in zip(texts, results, strict=True) if result.HasField("stored")]
            if number == 200:
                busy.set()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the stream has ended; InvalidState: before a write
        return stored


async def check_stored(caller: Caller, channel_id: int, acknowledged: list[list[str]]) -> None:
    """Fail unless all of it is there, once and in the order of each writer."""
    live = Live(caller.stream_bytes("Subscribe", positions=[{"channel_id": channel_id, "sequence": 0}]))
    head = next(each.channel.sequence for each in (await live.next()).opened if each.channel.channel_id == channel_id)
    await live.reaches(channel_id, head)
    assert live.reader.sequences(channel_id) == list(range(1, head + 1))
    texts = live.reader.texts(channel_id)
    for number, expected in enumerate(acknowledged):
        assert len(expected) >= 200
        assert [text for text in texts if text.startswith(f"{number} ")][: len(expected)] == expected


async def test_health_tells_of_the_drain() -> None:
    server = await Server().start()
    async with connect(server.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = Stream(stub.Watch(health_pb2.HealthCheckRequest(service="madang.v1.ChannelService")))
        assert (await watch.read()).status == SERVING
        stopping = asyncio.create_task(server.stop())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.call.cancel()
        async with asyncio.timeout(PATIENCE):
            await stopping
