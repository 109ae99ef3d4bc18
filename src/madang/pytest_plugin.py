"""The pytest fixture `madang_server`: a real server for a test, sync or async, with or without an async plugin.

Loaded by pytest wherever madang is installed; so nothing of madang is imported before a test asks for the fixture.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from madang.node.embed import Server

PATIENCE = 30.0
"""Seconds in which the server has to start, and to stop."""


@pytest.fixture
def madang_server() -> Iterator[Server]:
    """A started `madang.Server` on a free port of loopback, with data of its own that is gone afterwards.

    It runs in a thread with a loop of its own: `madang.connect(madang_server.target)` from anywhere.
    """
    with _running() as server:
        yield server


@contextmanager
def _running() -> Iterator[Server]:
    started: Future[Server] = Future()
    stop: Future[None] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(started, stop)), name="madang_server")
    thread.start()
    try:
        yield started.result(PATIENCE)
    finally:
        stop.set_result(None)
        thread.join(PATIENCE)


async def _serve(started: Future[Server], stop: Future[None]) -> None:
    from madang.node.embed import Server

    try:
        async with Server() as server:
            started.set_result(server)
            await asyncio.wrap_future(stop)
    except BaseException as error:
        if started.done():
            raise  # pytest reports it as the thread's
        started.set_exception(error)
