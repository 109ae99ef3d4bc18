"""Storm: one channel, ten senders at full speed, a crowd of readers. What does a delivered message cost the server?"""

from __future__ import annotations

import asyncio

from benchmarks.common import Effort, Meter, at_head, heads, subscribe, until
from benchmarks.people import People, gather_in
from benchmarks.readers import CarefulReader, Reader, troubles
from benchmarks.report import Findings, Target
from benchmarks.senders import ContentCheck, Sender, refusals
from benchmarks.server import Server

SENDERS = 10
CAREFUL = 3
"""Readers that check every message."""
SECONDS = 8.0
DRAIN = 60.0


async def storm(server: Server, effort: Effort, crowd: int, target: Target | None = None) -> Findings:
    """Run it with a `crowd` of readers; `target` is for µs of server CPU per delivered message."""
    async with People(server.places) as people:
        first, *others = await people.sign_in_many(SENDERS, node=0)
        crowd_people = await people.sign_in_many(crowd)
        channel_id = await first.create_channel("storm")
        await gather_in(channel_id, [*others, *crowd_people])

        check = [ContentCheck([sender.user_id for sender in (first, *others)]) for _ in range(CAREFUL)]
        readers: list[Reader | CarefulReader] = [CarefulReader(each) for each in check]
        readers += [Reader() for _ in range(crowd - CAREFUL)]
        await subscribe(crowd_people, readers, channels=2)
        senders = [Sender(person, channel_id, number) for number, person in enumerate((first, *others))]
        await asyncio.sleep(1)
        batches = sum(reader.batches for reader in readers)

        meter = Meter(server)
        for sender in senders:
            sender.run()
        await asyncio.sleep(effort.seconds(SECONDS))
        for sender in senders:
            sender.stop()
        await until(lambda: all(sender.idle for sender in senders), DRAIN, "every send is answered")
        sending = meter.read().wall
        head = heads(receipt for sender in senders for receipt in sender.receipts)
        await until(at_head(readers, head), DRAIN, "every reader has everything")
        usage = meter.read()
        batches = sum(reader.batches for reader in readers) - batches

    messages = sum(len(sender.receipts) for sender in senders)
    deliveries = messages * crowd
    findings = Findings(troubles=troubles(readers, head) + refusals(senders))
    findings.add("server CPU per delivered message", usage.server / deliveries * 1e6, "µs", target)
    findings.add("deliveries", deliveries / usage.wall, "/s")
    findings.add("messages stored", messages / sending, "/s")
    findings.add("server CPU per message stored", usage.server / messages * 1e6, "µs")
    findings.add("last send to last read", usage.wall - sending, "s")
    findings.add("messages per batch read", deliveries / batches, "")
    findings.add("messages per list sent", messages / sum(sender.lists for sender in senders), "")
    usage.report(findings)
    return findings
