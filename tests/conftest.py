"""For all tests: how hypothesis runs, and what a process that used gRPC has to know before it starts a terminal."""

from __future__ import annotations

import asyncio
import os

# A terminal is forked, and at once becomes another program. What gRPC does in a forked process would come before that:
# once in some hundred times it writes into the terminal, and waits for ever.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from parts.postgres import Databases, Postgres
from support import Where

# How long an example takes says nothing on a shared machine; what it finds is printed, not kept in a directory.
settings.register_profile(
    "madang", deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("madang")


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
