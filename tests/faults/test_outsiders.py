"""Whoever is put out of a channel at one node reads nothing more at another, however late that node hears of it."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from .nodes import Cluster
from .outsiders import Outsider
from .people import connect, make_channel, sign_in
from .process import eventually


@pytest.mark.timeout(120)
async def test_who_was_removed_reads_nothing_more(place: Path, seed: int) -> None:
    """The node where it happened cannot tell the others."""
    async with Cluster(place) as cluster, AsyncExitStack() as stack:
        there, here, other = [await stack.enter_async_context(connect(node.process.target)) for node in cluster.nodes]
        host, guest = await sign_in(there, "host"), await sign_in(there, "guest")
        channel_id = await make_channel(there, host, "room", [guest])
        inside = await stack.enter_async_context(Outsider([here], random.Random(seed), host, channel_id))
        outside = await stack.enter_async_context(Outsider([here], random.Random(seed + 1), host, channel_id))
        bus = cluster.nodes[0].links["bus"]
        bus.freeze()
        await outside.be_removed(there, other)
        await eventually(lambda: set(outside.secrets) <= set(inside.texts()), "those who are in it read it")
        bus.calm()
        assert outside.leaks() == []
