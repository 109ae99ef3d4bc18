"""For all tests: how hypothesis runs, and what a process that used gRPC has to know before it starts a terminal."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import os
import sys

# A terminal is forked, and at once becomes another program. What gRPC does in a forked process would come before that:
# once in some hundred times it writes into the terminal, and waits for ever.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from parts.postgres import Databases, Postgres
from support import Where

# How long an example takes says nothing on a shared machine; what it finds is printed, not kept in a directory.
settings.register_profile(
    "madang", deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("madang")

HANGS = 5 / 6
"""After which part of its time a test is ended from within: before pytest-timeout ends it from outside, which leaves
what it had open to the tests after it, and says no more than that its loop waited."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """No test waits for ever; one that would says what each of its tasks waited for."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            own = item.get_closest_marker("timeout")
            seconds = float(own.args[0] if own else config.getini("timeout"))
            item.obj = _ended(item.obj, HANGS * seconds)


def _ended(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def ending(*arguments: object, **named: object) -> None:
        loop = asyncio.get_running_loop()
        telling = loop.call_later(seconds - 1, _tell)
        try:
            async with asyncio.timeout(seconds):
                await test(*arguments, **named)
        finally:
            telling.cancel()

    return ending


def _tell() -> None:
    for task in asyncio.all_tasks():
        print(task.get_name(), *_places(task.get_coro()), sep="\n    ", file=sys.stderr)


def _places(waiting: Any) -> Iterator[str]:
    """Where a coroutine is, and what it waits for, down to where nothing is known."""
    while waiting is not None:
        frame = next((f for name in ("cr_frame", "ag_frame", "gi_frame") if (f := getattr(waiting, name, None))), None)
        if frame is not None:
            yield f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
            names = ("cr_await", "ag_await", "gi_yieldfrom")
            waiting = next((each for name in names if (each := getattr(waiting, name, None)) is not None), None)
        else:  # a step of an asynchronous generator does not say of which
            generators = [each for each in gc.get_referents(waiting) if inspect.isasyncgen(each)]
            if not generators:
                yield repr(waiting)
            waiting = generators[0] if generators else None


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Makes PostgreSQL databases, on one server for the whole session."""
    there = os.environ.get("MADANG_TEST_POSTGRES")
    if there:
        made = Databases(there)
        yield made
        asyncio.run(made.close())
        return
    server = Postgres()
    try:
        server.start()
        yield Databases(server.url("postgres"))
    finally:
        server.close()


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[str]:
    """The address of a fresh PostgreSQL database with this version's tables."""
    async with databases.migrated() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """Where the test's store is, in each of the dialects."""
    if request.param == "sqlite":
        return tmp_path / "data"
    made: str = request.getfixturevalue("database")
    return made
