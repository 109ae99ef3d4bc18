"""A server that does nothing for a while, its connections open: nothing is lost, and it goes on where it was."""

from __future__ import annotations

import asyncio

from .load import under_load
from .process import ServerProcess
from .test_kill import BROKEN

PAUSE = 2.0
"""Seconds."""


async def test_nothing_is_lost(server: ServerProcess, seed: int) -> None:
    await server.start()
    async with under_load(server.target, seed) as load:
        await load.goes_on()
        server.pause()
        try:
            await asyncio.sleep(PAUSE)  # the fault itself
        finally:
            server.resume()
        await load.goes_on()
        verdict = await load.settle()
    assert not verdict.findings, str(verdict)
    assert set(load.history.errors) <= BROKEN
    assert "Traceback" not in server.output
