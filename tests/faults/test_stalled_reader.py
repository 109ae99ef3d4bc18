"""Subscribers that never read: everyone else gets everything, and what they cost the server is bounded."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from itertools import cycle

from madang.v1 import channel_service_pb2 as pb

from .checker import check
from .history import History
from .people import (
    Connection,
    Person,
    Route,
    all_here,
    connect,
    entry_of,
    make_channel,
    problem_in,
    send,
    sign_in,
    stored_in,
)
from .process import ServerProcess, eventually
from .raw import LARGEST_WINDOW, SUBSCRIBE, greeting, open_socket, request
from .readers import Call, Reader
from .writers import Call as PostCall

MESSAGES = 20_000
SIZE = 1024
STALLED = 8
MB = 1024 * 1024

BOUND = 80 * MB
"""How much the server may grow: less than half of what one queue for each of the stalled would hold."""


async def subscribe(connection: Connection, person: Person, channel_id: int) -> Call:
    """A subscription from the beginning, of which only the first response is read."""
    position = pb.Position(channel_id=channel_id)
    call = connection.messages.Subscribe(pb.SubscribeRequest(positions=[position]), metadata=person.metadata)
    assert isinstance(await call.read(), pb.SubscribeResponse)
    return call


@contextmanager
def silent_sockets(port: int, people: Sequence[Person], channel_id: int) -> Iterator[None]:
    """Subscriptions on bare sockets that are never read; every other grants all the window that HTTP/2 has."""
    message = pb.SubscribeRequest(positions=[pb.Position(channel_id=channel_id)]).SerializeToString()
    with ExitStack() as stack:
        for person, window in zip(people, cycle((65535, LARGEST_WINDOW)), strict=False):
            made = stack.enter_context(open_socket(port, receive_buffer=4096))
            made.sendall(greeting(window) + request(SUBSCRIBE, person.token, message))
        yield


async def post_many(post: PostCall, channel_id: int, count: int) -> None:
    """Post so many messages, lists of 200, a few of them on their way at once."""
    on_their_way = 0
    for _ in range(0, count, 200):
        sends = [
            pb.SendRequest(channel_id=channel_id, text=f"{random.random()} {'x' * SIZE}", request_id=str(uuid.uuid4()))
            for _ in range(200)
        ]
        await post.write(pb.PostRequest(sends=sends))
        on_their_way += len(sends)
        if on_their_way >= 800:
            on_their_way -= await answered(post)
    while on_their_way:
        on_their_way -= await answered(post)


async def answered(post: PostCall) -> int:
    """Read an answer: all stored. How many results it holds."""
    response = await post.read()
    assert isinstance(response, pb.PostResponse)
    for result in response.results:
        assert result.HasField("stored"), problem_in(result.error)
    return len(response.results)


async def test_costs_nobody_anything(server: ServerProcess) -> None:
    await server.start()
    history = History()
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connect(server.target)) for _ in range(STALLED + 1)]
        writing = connections[0]
        mina = await sign_in(writing, "mina")
        nari = await sign_in(writing, "nari")
        silent = [await sign_in(writing, f"silent-{number}") for number in range(2)]
        channel_id = await make_channel(writing, mina, "kitchen", [nari, *silent])
        post = writing.messages.Post(metadata=mina.metadata)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        readers = [Reader(nari, Route(server.target), [channel_id], history, random.Random(n)) for n in range(2)]
        reading = [group.create_task(reader.run()) for reader in readers]
        await post_many(post, channel_id, MESSAGES // 4)  # until the caches that do not grow with readers are warm
        stalled = [await subscribe(connection, nari, channel_id) for connection in connections[1:]]
        stack.enter_context(silent_sockets(server.port, silent, channel_id))
        await eventually(lambda: all_here(writing, silent), "the bare subscriptions are open")

        before = server.memory()
        await post_many(post, channel_id, MESSAGES)
        last = await send(writing, mina, channel_id, "the last one")
        await eventually(lambda: all(reader.stands_at({channel_id: last}) for reader in readers), "others have it all")
        grown = server.memory() - before
        print(f"the server grew by {grown / MB:.1f} MiB")
        assert grown < BOUND, f"grew by {grown / MB:.1f} MiB for {STALLED + 2} stalled readers"
        for task in reading:
            task.cancel()

        stored = {channel_id: await stored_in(writing, mina, channel_id)}
        for number, call in enumerate(stalled[:2]):  # they wake up
            await read_on(call, history, f"stalled {number}", channel_id, last)
        verdict = check(history, stored)
        assert {finding.fault.name for finding in verdict.findings} == {"INVENTED"}, "only the sends were not recorded"
    assert server.output.count("Traceback") == 0


async def read_on(call: Call, history: History, name: str, channel_id: int, last: int) -> None:
    """Read a stream that was left alone, through the end; what it has goes into the history."""
    view = history.view(name, channel_id, 0)
    while view.position < last:
        response = await asyncio.wait_for(call.read(), 20)
        assert isinstance(response, pb.SubscribeResponse)
        for batch in response.batches:
            assert batch.after == view.position
            view.position = batch.through
            view.entries += map(entry_of, batch.messages)
