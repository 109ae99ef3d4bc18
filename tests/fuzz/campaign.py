"""A server in a process of its own, and batch after batch of inputs; after each, whether it is as well as before."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import grpc
from faults.process import ServerProcess, command, environment, free_port
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from . import wire
from .calls import LEAKS, METHODS, Bad, Input, Judge, inputs, make
from .people import SIGNED_IN, People

BATCH = 10
"""How many calls one example of hypothesis holds."""
CHECK_EVERY = 50
"""After how many examples the server's health, log and memory are looked at."""
CONNECTIONS = 4
MOST_MEMORY = 256 << 20
"""How much larger than after the first inputs the server may get, bytes."""
GONE = frozenset({"TOKEN_INVALID", "SESSION_REVOKED", "SESSION_EXPIRED", "ACCOUNT_BANNED"})


class Target(ServerProcess):
    """A server with both contracts."""

    def __init__(self, data: Path, log: Path, *, limits: bool) -> None:
        super().__init__(data, log)
        self._limits = limits
        self._read = 0

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        line = [word for word in command(self.data, self.target) if word not in ("--no-classic", "--no-limits")]
        first = free_port()
        line += ["--classic-ports", f"{first}-{first + 3}", *([] if self._limits else ["--no-limits"])]
        line += ["--registration", "open", "--password-time=1", "--password-memory=64", "--password-lanes=1"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(line, stdout=log, stderr=log, env=environment())

    async def check(self) -> None:
        """Raise Bad unless it lives, serves, and has logged nothing that it should not."""
        try:
            healthy = await self.serves()
        except AssertionError as error:
            raise Bad(str(error)) from None
        if not healthy:
            raise Bad("the server does not say that it serves")
        with self.log.open("rb") as log:
            log.seek(self._read)
            news = log.read()
            self._read = log.tell()
        for line in news.splitlines():
            if b" ERROR " in line or b" CRITICAL " in line or b"Traceback" in line:
                raise Bad(f"the server's log: {news.decode(errors='replace')}")


class Campaign:
    """Run with `calls` and `noise`; what was tried is in the counters."""

    def __init__(self, server: Target) -> None:
        self.server = server
        self.judge = Judge([os.fsencode(server.data)])
        self.connections = 0
        self.tried: Counter[str] = Counter()
        self.began = time.monotonic()
        self.first_memory = 0
        self.most_memory = 0
        self._channels: list[grpc.aio.Channel] = []
        self._people: People | None = None
        self._batches = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.server.start()
        for _ in range(CONNECTIONS):
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
            channel = grpc.aio.insecure_channel(self.server.target, options=options)
            self._channels.append(await self._stack.enter_async_context(channel))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def calls(self, batch: list[Input]) -> None:
        """Make the calls of a batch at once. Raises Bad."""
        if self._people is None:
            self._people = People(self._channels[0], self.server.output)
        await self._people.sign_in()
        tokens = self._people.tokens
        reasons = await asyncio.gather(
            *(self._call(number, each, tokens[each.who]) for number, each in enumerate(batch))
        )
        self.tried["calls"] += len(batch)
        for given_input, reason in zip(batch, reasons, strict=True):
            if reason in GONE and given_input.who in SIGNED_IN:
                tokens[given_input.who] = ""
        await self._check_now_and_then()

    async def noise(self, batch: list[bytes]) -> None:
        """Send raw bytes, each over a connection of its own. Raises Bad."""
        for heard in await asyncio.gather(*(wire.shout(self.server.port, sent) for sent in batch)):
            if LEAKS.search(heard):
                raise Bad(f"a connection that sent one of {batch!r} heard {heard!r}")
        self.tried["connections"] += len(batch)
        await self._check_now_and_then()

    async def check(self) -> None:
        """Raise Bad unless the server is as well as before."""
        await self.server.check()
        memory = self.server.memory()
        self.first_memory = self.first_memory or memory
        self.most_memory = max(self.most_memory, memory)
        if memory > self.first_memory + MOST_MEMORY:
            raise Bad(f"the server takes {memory >> 20} MiB; after the first inputs it took {self.first_memory >> 20}")

    async def _call(self, number: int, each: Input, token: str) -> str:
        return await make(self._channels[number % CONNECTIONS], each, token, self.judge)

    async def _check_now_and_then(self) -> None:
        self._batches += 1
        if self._batches % CHECK_EVERY == 0:
            await self.check()

    def page(self) -> str:
        """What was tried, and what came of it."""
        took = time.monotonic() - self.began
        total = sum(self.tried.values())
        lines = [
            f"{total:,} inputs in {took:.0f} s: " + ", ".join(f"{n:,} {what}" for what, n in self.tried.items()),
            f"the server lives; memory {self.first_memory >> 20} MiB after the first, {self.most_memory >> 20} at most",
            "",
            f"{len(METHODS)} methods; calls of each, fewest first:",
            *(f"  {count:>7,}  {path}" for path, count in sorted(self.judge.by_method.items(), key=lambda row: row[1])),
            "",
            "outcomes:",
            *(f"  {count:>7,}  {outcome}" for outcome, count in self.judge.outcomes.most_common()),
        ]
        return "\n".join(lines)


def run(directory: Path, count: int, *, limits: bool = False) -> Campaign:
    """Try about so many inputs against a fresh server, one in ten of them raw bytes. Raises Bad, and says with what."""
    quiet = settings(
        max_examples=max(1, count * 9 // 10 // BATCH),
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
        deadline=None,
    )
    loud = settings(quiet, max_examples=max(1, count // 10 // BATCH))
    with Target(directory / "data", directory / "log", limits=limits) as server, asyncio.Runner() as runner:
        campaign = Campaign(server)
        runner.run(campaign.__aenter__())
        try:

            @quiet
            @given(st.lists(inputs, min_size=BATCH, max_size=BATCH))
            def calls(batch: list[Input]) -> None:
                runner.run(campaign.calls(batch))

            @loud
            @given(st.lists(wire.connection, min_size=BATCH, max_size=BATCH))
            def noise(batch: list[bytes]) -> None:
                runner.run(campaign.noise(batch))

            calls()
            noise()
            runner.run(campaign.check())
        finally:
            runner.run(campaign.__aexit__())
    return campaign
