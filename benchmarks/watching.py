"""Watching: ten thousand channels, each read by somebody at one node of a cluster. What do they cost the node?"""

from __future__ import annotations

import asyncio

from benchmarks.cluster import cluster
from benchmarks.common import Effort, subscribe
from benchmarks.people import People, Person, at_once
from benchmarks.readers import Reader, troubles
from benchmarks.report import Findings, at_most

CHANNELS = 10_000
PEOPLE = 50
"""Who reads them, each as many as the others."""


async def watching(effort: Effort) -> Findings:
    """Make the channels, sign in everyone, and then open the streams: what they cost is what is counted."""
    own = effort.count(CHANNELS) // PEOPLE
    async with cluster(nodes=1) as server, People(server.places) as people:
        everyone = await people.sign_in_many(PEOPLE)
        wanted = [(person, f"watched-{person.user_id}-{number}") for number in range(own) for person in everyone]
        await at_once(wanted, _make)
        readers = [Reader() for _ in everyone]
        await subscribe(everyone[:1], readers[:1], channels=own + 1)  # what is loaded once is nobody's
        await asyncio.sleep(1)
        before = server.memory()
        await subscribe(everyone[1:], readers[1:], channels=own + 1)
        await asyncio.sleep(3)
        memory = server.memory() - before
    watched = own * (PEOPLE - 1)
    findings = Findings(troubles=troubles(readers, {}))
    findings.add("memory for 10,000 channels watched", memory / watched * 10_000 / 2**20, "MiB", at_most(100))
    findings.add("memory per channel watched", memory / watched / 1024, "KiB")
    findings.add("channels watched", watched, "")
    return findings


async def _make(wanted: tuple[Person, str]) -> None:
    person, name = wanted
    await person.create_channel(name)
