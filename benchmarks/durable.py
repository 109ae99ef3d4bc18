"""Durable sends: senders with one message in flight each, nobody reads. How many messages a second reach the disk?"""

from __future__ import annotations

import asyncio
import time

from benchmarks.common import Effort, Meter, percentile, until
from benchmarks.people import People, Person, gather_in
from benchmarks.report import Findings, Target, at_least
from benchmarks.senders import Sender, refusals, send_one_by_one
from benchmarks.server import Server

FEW, MANY = 10, 200
SECONDS = 5.0


async def durable(server: Server, effort: Effort) -> Findings:
    """Run it over Post, then over unary Send, with few senders and with many."""
    findings = Findings()
    seconds = effort.seconds(SECONDS)
    async with People(server.places) as people:
        everyone = await people.sign_in_many(MANY)
        channel_id = await everyone[0].create_channel("durable")
        await gather_in(channel_id, everyone[1:])
        for count, target in ((FEW, at_least(2000)), (MANY, at_least(5000))):
            await _post(server, findings, everyone[:count], channel_id, seconds=seconds, target=target)
        for count in (FEW, MANY):
            await _send(server, findings, everyone[:count], channel_id, seconds)
    return findings


async def _post(
    server: Server, findings: Findings, people: list[Person], channel_id: int, *, seconds: float, target: Target
) -> None:
    senders = [Sender(person, channel_id, number) for number, person in enumerate(people)]
    meter = Meter(server)
    for sender in senders:
        sender.run(window=1)
    await asyncio.sleep(seconds)
    for sender in senders:
        sender.stop()
    await until(lambda: all(sender.idle for sender in senders), 30, "every send is answered")
    receipts = [receipt for sender in senders for receipt in sender.receipts]
    findings.troubles += refusals(senders)
    sequences = {receipt.sequence for receipt in receipts}
    if len(sequences) != len(receipts):
        findings.troubles.append(f"{len(receipts) - len(sequences)} messages with the place of another")
    took = [receipt.acknowledged - receipt.sent for receipt in receipts]
    _add(findings, f"{len(people)} senders over Post", took, meter, target)


async def _send(server: Server, findings: Findings, people: list[Person], channel_id: int, seconds: float) -> None:
    meter = Meter(server)
    until_then = time.perf_counter() + seconds
    took = await asyncio.gather(
        *(send_one_by_one(person, channel_id, number, until_then) for number, person in enumerate(people))
    )
    _add(findings, f"{len(people)} senders over unary Send", [each for some in took for each in some], meter, None)


def _add(findings: Findings, who: str, took: list[float], meter: Meter, target: Target | None) -> None:
    """Add the figures of `took`, the seconds from send to acknowledgement of each message."""
    usage = meter.read()
    took.sort()
    findings.add(f"{who}: acknowledged", len(took) / usage.wall, "messages/s", target)
    findings.add(f"{who}: send to acknowledgement, p50", percentile(took, 0.50) * 1e3, "ms")
    findings.add(f"{who}: send to acknowledgement, p99", percentile(took, 0.99) * 1e3, "ms")
    findings.add(f"{who}: server CPU per message", usage.server / len(took) * 1e6, "µs")
    usage.report(findings, f"{who}: ")
