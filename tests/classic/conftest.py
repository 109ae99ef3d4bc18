"""A real server with the classic contract, and the way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from madang.node.embed import Server
from madang.rpc.classic.times import Times

from .people import Network, free_ports, network

PORTS = 8


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    """Connections for a test."""
    async with network() as connections:
        yield connections


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server with the intervals of everyday use."""
    async with Server(classic=True, classic_ports=free_ports(PORTS), drain=0.5, limits=None) as running:
        yield running


@pytest.fixture
async def hasty() -> AsyncIterator[Server]:
    """A server whose patience is short: tenths of seconds instead of tens."""
    times = Times(beat=0.1, grace=0.5, idle=0.6, tidy=0.02)
    async with Server(
        classic=True, classic_ports=free_ports(PORTS), classic_times=times, drain=0.5, limits=None
    ) as running:
        yield running
