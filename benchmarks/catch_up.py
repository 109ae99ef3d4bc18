"""Catch-up: a reader who was long away comes back to a conversation. How fast is it, and who notices?"""

from __future__ import annotations

import asyncio
import time

from benchmarks.common import Effort, Meter, at_head, percentile, until
from benchmarks.conversation import SENDERS, WARM, Conversation, gather
from benchmarks.people import People, Person
from benchmarks.readers import CarefulReader, Reader, troubles
from benchmarks.report import Findings, at_most
from benchmarks.senders import ContentCheck, Sender
from benchmarks.server import Server

BEHIND = 100_000
"""Messages that the reader has missed."""
SECONDS = 10.0
"""How long the others are watched, before and during."""
PATIENCE = 60.0


async def catch_up(server: Server, effort: Effort) -> Findings:
    """Run it: fill a channel, talk in it, and have a reader come back again and again meanwhile."""
    async with People(server.places) as people:
        everyone, channel_id = await gather(people)
        filler, late = await people.sign_in_many(2)
        for person in (filler, late):
            await person.join(channel_id)
        begin = await _fill(filler, channel_id, effort.count(BEHIND))
        talk = Conversation(everyone, channel_id)
        await talk.open()
        head = talk.readers[0].positions[channel_id]

        async with asyncio.TaskGroup() as group:
            seconds = effort.seconds(SECONDS)
            talking = group.create_task(talk.talk(WARM + 2 * seconds))
            await asyncio.sleep(WARM)
            before = time.perf_counter()
            await asyncio.sleep(seconds)
            during = time.perf_counter()
            meter = Meter(server)
            rates: list[float] = []
            while not rates or time.perf_counter() < during + seconds - 1:
                rates.append(await _come_back(late, Reader(), channel_id, begin, head))
            after = time.perf_counter()
            usage = meter.read()
            await talking
        await talk.settle()
        # Once more, and this time every message is checked, now that nobody's time is measured.
        careful = CarefulReader(ContentCheck([person.user_id for person in (*everyone[:SENDERS], filler)]))
        await _come_back(late, careful, channel_id, begin, head)

    findings = Findings(troubles=talk.troubles() + troubles([careful], {channel_id: head}))
    calm, busy = talk.delays(before, during), talk.delays(during, after)
    ratio = percentile(busy, 0.99) / percentile(calm, 0.99)
    findings.add("messages caught up", sum(rates) / len(rates), "/s")
    findings.add("the others' p99, during / before", ratio, "times", at_most(2))
    for when, found in (("before", calm), ("during", busy)):
        findings.add(f"the others' send to read, p50, {when}", percentile(found, 0.50) * 1e3, "ms")
        findings.add(f"the others' send to read, p99, {when}", percentile(found, 0.99) * 1e3, "ms")
    findings.add("server CPU per message caught up", usage.server / (len(rates) * (head - begin)) * 1e6, "µs")
    usage.report(findings)
    return findings


async def _fill(person: Person, channel_id: int, count: int) -> int:
    """Store at least `count` messages; gives the sequence before the first of them."""
    sender = Sender(person, channel_id, SENDERS)
    sender.run()
    await until(lambda: len(sender.receipts) >= count, PATIENCE, "the channel is filled")
    sender.stop()
    await until(lambda: sender.idle, PATIENCE, "every send is answered")
    return min(receipt.sequence for receipt in sender.receipts) - 1


async def _come_back(person: Person, reader: Reader | CarefulReader, channel_id: int, begin: int, head: int) -> float:
    """Subscribe from `begin` and read through `head`; gives messages a second."""
    start = time.perf_counter()
    reader.positions[channel_id] = begin
    reader.call = call = person.subscribe(reader, reader.positions)
    await until(at_head([reader], {channel_id: head}), PATIENCE, "the reader has caught up")
    took = time.perf_counter() - start
    call.cancel()
    return (head - begin) / took
