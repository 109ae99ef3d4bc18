"""Idle: two thousand people who are there and say nothing. What do they cost, and how fast do they come in?"""

from __future__ import annotations

import asyncio

from benchmarks.common import Effort, Meter, subscribe
from benchmarks.people import People
from benchmarks.readers import Reader, troubles
from benchmarks.report import Findings, at_least, at_most
from benchmarks.server import Server

PEOPLE = 2000
FIRST = 10
"""People who come first, so that what the server loads once is not counted as theirs."""
REST = 20.0
"""Seconds of rest."""


async def idle(server: Server, effort: Effort) -> Findings:
    """Run it."""
    crowd = effort.count(PEOPLE)
    async with People(server.places) as people:
        await subscribe(await people.sign_in_many(FIRST), [Reader() for _ in range(FIRST)], channels=1)
        await asyncio.sleep(1)
        memory = server.memory()

        meter = Meter(server)
        everyone = await people.sign_in_many(crowd)
        coming = meter.read()
        readers = [Reader() for _ in everyone]
        meter = Meter(server)
        await subscribe(everyone, readers, channels=1)
        opening = meter.read()
        await asyncio.sleep(3)
        memory = server.memory() - memory

        meter = Meter(server)
        await asyncio.sleep(effort.seconds(REST))
        resting = meter.read()
        memory_later = server.memory()
        gone = sum(person.connection.closed for person in everyone)

    findings = Findings(troubles=troubles(readers, {}))
    if gone:
        findings.troubles.append(f"{gone} connections were lost")
    findings.add("memory per subscriber", memory / crowd / 1024, "KiB", at_most(45))
    findings.add("sign-ins, connection included", crowd / coming.wall, "/s", at_least(500))
    findings.add("server CPU per sign-in", coming.server / crowd * 1e6, "µs")
    findings.add("CPU at rest", resting.server / resting.wall * 100, "% of a core", at_most(1))
    findings.add("subscriptions opened", crowd / opening.wall, "/s")
    findings.add("server CPU per subscription", opening.server / crowd * 1e6, "µs")
    coming.report(findings, "signing in: ")
    findings.add("memory of the whole server", memory_later / 1024 / 1024, "MiB")
    return findings
