"""Conversation: a hundred readers, twenty messages a second. How long from send to read?"""

from __future__ import annotations

import asyncio

from benchmarks.common import Effort, Meter, at_head, delays, heads, percentile, subscribe, until
from benchmarks.people import People, Person, gather_in
from benchmarks.readers import TimedReader, troubles
from benchmarks.report import Findings, at_most
from benchmarks.senders import Receipt, Sender, offer, refusals
from benchmarks.server import Server

SENDERS = 10
READERS = 100
RATE = 20.0
SECONDS = 15.0
WARM = 1.0
"""Seconds at the beginning that do not count."""


class Conversation:
    """Readers and senders in one channel."""

    def __init__(self, people: list[Person], channel_id: int) -> None:
        """`people` are in the channel; the first of them send and the rest read."""
        self.senders = [Sender(person, channel_id, number) for number, person in enumerate(people[:SENDERS])]
        self.readers = [TimedReader() for _ in people[SENDERS:]]
        self._people = people

    async def open(self) -> None:
        """Begin the readers' live streams."""
        await subscribe(self._people[SENDERS:], self.readers, channels=2)

    async def talk(self, seconds: float) -> None:
        """Send, evenly spaced, the senders in turn."""
        await offer(lambda number, _: self.senders[number % SENDERS].send(), RATE, seconds)

    async def settle(self) -> None:
        """Wait until everyone has everything."""
        await until(lambda: all(sender.idle for sender in self.senders), 30, "every send is answered")
        await until(at_head(self.readers, heads(self.receipts())), 30, "every reader has everything")

    def receipts(self) -> list[Receipt]:
        """What was stored."""
        return [receipt for sender in self.senders for receipt in sender.receipts]

    def delays(self, begin: float, end: float) -> list[float]:
        """Seconds from send to read of what was sent between two times (performance counter), sorted."""
        sent = {
            (receipt.channel_id, receipt.sequence): receipt.sent
            for receipt in self.receipts()
            if begin <= receipt.sent < end
        }
        return delays((arrival for reader in self.readers for arrival in reader.arrivals), sent)

    def troubles(self) -> list[str]:
        """What was lost or refused."""
        return troubles(self.readers, heads(self.receipts())) + refusals(self.senders)


async def gather(people: People) -> tuple[list[Person], int]:
    """Sign senders and readers in, each at another node where there are two, and have them join a channel; gives them
    and its id.
    """
    everyone = await people.sign_in_many(SENDERS, node=0) + await people.sign_in_many(READERS, node=1)
    channel_id = await everyone[0].create_channel("conversation")
    await gather_in(channel_id, everyone[1:])
    return everyone, channel_id


async def conversation(server: Server, effort: Effort) -> Findings:
    """Run it."""
    async with People(server.places) as people:
        talk = Conversation(*await gather(people))
        await talk.open()
        await asyncio.sleep(1)
        meter = Meter(server)
        await talk.talk(WARM + effort.seconds(SECONDS))
        usage = meter.read()
        await talk.settle()

    begin = min(receipt.sent for receipt in talk.receipts())
    found = talk.delays(begin + WARM, float("inf"))
    findings = Findings(troubles=talk.troubles())
    findings.add("send to read, p50", percentile(found, 0.50) * 1e3, "ms", at_most(4))
    findings.add("send to read, p99", percentile(found, 0.99) * 1e3, "ms", at_most(9))
    findings.add("send to read, longest", found[-1] * 1e3, "ms")
    usage.report(findings)
    return findings
