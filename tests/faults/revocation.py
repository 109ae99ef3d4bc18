"""A session that is ended at one node: how soon its streams end at all nodes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import grpc

from madang.v1 import agent_service_pb2
from madang.v1 import channel_service_pb2 as pb

from .people import CALL, connect, problem_of, sign_in
from .readers import Call

PATIENCE = 15.0
"""Seconds after which a stream that has not ended is not waited for."""


async def revoke(targets: Sequence[str], rng: random.Random) -> float:
    """Sign somebody in at one node, open a stream at each, sign out at another; the seconds until all have ended.

    Raises AioRpcError when a node cannot even do that, or ends a stream for another reason.
    """
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connect(target)) for target in targets]
        person = await sign_in(rng.choice(connections), f"passer-by-{rng.randrange(10**9)}")
        streams: list[Call] = []
        for connection in connections:
            stream = connection.messages.Subscribe(pb.SubscribeRequest(), metadata=person.metadata)
            stack.callback(stream.cancel)
            assert isinstance(await stream.read(), pb.SubscribeResponse)
            streams.append(stream)
        begin = time.monotonic()
        leaving = rng.choice(connections).agent
        await leaving.SignOut(agent_service_pb2.SignOutRequest(), metadata=person.metadata, timeout=CALL)
        await asyncio.gather(*map(_ended, streams))
        return time.monotonic() - begin


async def _ended(stream: Call) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while isinstance(await stream.read(), pb.SubscribeResponse):
                pass
    except TimeoutError:
        return
    except grpc.aio.AioRpcError as error:
        if problem_of(error).code != "UNAUTHENTICATED":
            raise
