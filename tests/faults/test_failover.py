"""The primary of two PostgreSQL servers dies, and its synchronous standby takes over: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from parts.nats import Nats
from parts.postgres import Postgres, execute, fetch

from .load import Crowd, under_load
from .process import ServerProcess, eventually
from .test_kill import BROKEN
from .writers import PostWriter, SendWriter


@pytest.fixture
def servers() -> Iterator[tuple[Postgres, Postgres]]:
    """A primary with our database, and a standby that it waits for at each commit."""
    with ExitStack() as stack:
        primary = Postgres()
        stack.callback(primary.close)
        primary.start()
        asyncio.run(execute(primary.url("postgres"), "CREATE DATABASE madang TEMPLATE template0"))
        standby = primary.copy()
        stack.callback(standby.close)
        standby.start()
        asyncio.run(
            execute(
                primary.url("postgres"),
                "ALTER SYSTEM SET synchronous_standby_names = '*'",
                "SELECT pg_reload_conf()",
            )
        )
        yield primary, standby


async def test_a_standby_takes_over(servers: tuple[Postgres, Postgres], tmp_path: Path, seed: int) -> None:
    """Nodes find the one of the two that can be written, by themselves."""
    primary, standby = servers
    either = (
        f"postgresql://madang@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/madang?target_session_attrs=primary"
    )

    async def is_synchronous() -> bool:
        states = await fetch(primary.url("postgres"), "SELECT sync_state FROM pg_stat_replication")
        return states == [("sync",)]

    await eventually(is_synchronous, "commits wait for the standby")
    with (
        Nats(tmp_path / "nats") as nats,
        ServerProcess(tmp_path / "a", tmp_path / "a.log") as one,
        ServerProcess(tmp_path / "b", tmp_path / "b.log") as other,
    ):
        for node in (one, other):
            node.arguments = ["--database", either, "--bus", nats.url, "--handover", "0"]
        await asyncio.gather(one.start(), other.start())
        crowd = Crowd((PostWriter, SendWriter, PostWriter), readers=2, sdk=1, pace=20.0)
        async with under_load(f"{one.target},{other.target}", seed, crowd) as load:
            await load.goes_on(30)
            await asyncio.to_thread(primary.kill)
            await asyncio.to_thread(standby.promote)
            await load.goes_on(30)
            verdict = await load.settle()
        assert not verdict.findings, str(verdict)
        unexpected = {error for error in load.history.errors if not error.startswith((*BROKEN, "SDK "))}
        assert not unexpected
        for node in (one, other):
            assert "Traceback" not in node.output
