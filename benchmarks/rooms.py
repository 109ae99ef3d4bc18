"""Small rooms: 200 rooms of five, messages spread evenly. How many messages a second before people notice?"""

from __future__ import annotations

import asyncio
import time

from benchmarks.common import Effort, Meter, at_head, delays, heads, percentile, subscribe, until
from benchmarks.people import People, Person, at_once
from benchmarks.readers import TimedReader, troubles
from benchmarks.report import Findings, at_least
from benchmarks.senders import Receipt, Sender, offer, refusals
from benchmarks.server import Server

ROOMS = 200
MEMBERS = 5
RATES = (500, 2000, 3000, 4000, 4500, 5000, 6000, 7000, 8000, 10000)
SECONDS = 6.0
WARM = 1.0
"""Seconds at the beginning of each rate that do not count."""
NOTICED = 0.250
"""Seconds from send to read that people notice: p99 has to stay within."""


async def rooms(server: Server, effort: Effort) -> Findings:
    """Offer one rate after the other, open loop, until people notice. One member of each room sends."""
    findings = Findings()
    async with People(server.places) as people:
        members = await people.sign_in_many(ROOMS * MEMBERS)
        by_room = [members[at : at + MEMBERS] for at in range(0, len(members), MEMBERS)]
        channels = await at_once(list(enumerate(by_room)), lambda room: _furnish(*room))
        readers = [TimedReader() for _ in members]
        await subscribe(members, readers, channels=2)
        senders = [
            Sender(room[0], channel_id, number)
            for number, (room, channel_id) in enumerate(zip(by_room, channels, strict=True))
        ]
        await asyncio.sleep(1)
        best = 0.0
        for rate in RATES:
            p99 = await _offer(server, effort, rate=rate, senders=senders, readers=readers, findings=findings)
            if p99 > NOTICED:
                break
            best = rate
    findings.add("highest rate with p99 ≤ 250 ms", best, "messages/s", at_least(4000))
    findings.measured.insert(0, findings.measured.pop())
    return findings


async def _furnish(number: int, members: list[Person]) -> int:
    """Make a room and have its members join; gives the channel's id."""
    channel_id = await members[0].create_channel(f"room{number}")
    for member in members[1:]:
        await member.join(channel_id)
    return channel_id


async def _offer(
    server: Server, effort: Effort, *, rate: int, senders: list[Sender], readers: list[TimedReader], findings: Findings
) -> float:
    """Offer one rate, wait until all is read, add its figures; gives p99 in seconds."""
    for sender in senders:
        sender.receipts.clear()
    for reader in readers:
        reader.arrivals.clear()
    seconds = WARM + effort.seconds(SECONDS)
    meter, begin = Meter(server), time.perf_counter()
    await offer(lambda number, due: senders[number % ROOMS].send(due), rate, seconds)
    await until(lambda: all(sender.idle for sender in senders), 60, "every send is answered")
    receipts = [receipt for sender in senders for receipt in sender.receipts]
    await until(at_head(readers, heads(receipts)), 60, "every reader has everything")
    usage = meter.read()

    findings.troubles += troubles(readers, heads(receipts)) + refusals(senders)
    counted = [receipt for receipt in receipts if receipt.sent >= begin + WARM]
    found = delays((arrival for reader in readers for arrival in reader.arrivals), _sent(counted))
    if len(found) != MEMBERS * len(counted):
        findings.troubles.append(f"{len(found)} deliveries of {len(counted)} messages to {MEMBERS} members each")
    p99 = percentile(found, 0.99)
    at = f"at {rate:,}/s"
    findings.add(f"{at}: send to read, p50", percentile(found, 0.50) * 1e3, "ms")
    findings.add(f"{at}: send to read, p99", p99 * 1e3, "ms")
    findings.add(f"{at}: stored", len(receipts) / usage.wall, "messages/s")
    findings.add(f"{at}: server CPU per message", usage.server / len(receipts) * 1e6, "µs")
    usage.report(findings, f"{at}: ")
    return p99


def _sent(receipts: list[Receipt]) -> dict[tuple[int, int], float]:
    return {(receipt.channel_id, receipt.sequence): receipt.sent for receipt in receipts}
