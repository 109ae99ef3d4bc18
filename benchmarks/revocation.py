"""Revocation: a thousand live streams, whose sessions all end at once. How long does the last stream live on?"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from benchmarks.common import Effort, Meter, percentile, subscribe, until
from benchmarks.connection import CallError
from benchmarks.people import People, Person
from benchmarks.readers import Reader
from benchmarks.report import Findings, at_most
from benchmarks.server import Server
from madang.v1 import agent_service_pb2 as agent

STREAMS = 1000
SIGN_OUT = "/madang.v1.AgentService/SignOut"


async def revocation(server: Server, effort: Effort) -> Findings:
    """Open the streams, end every session at the same moment, and note when each stream ends."""
    findings = Findings()
    crowd = effort.count(STREAMS)
    async with People(server.places) as people:
        everyone = await people.sign_in_many(crowd)
        readers = [Reader() for _ in everyone]
        await subscribe(everyone, readers, channels=1)
        asked: dict[int, float] = {}
        ended: dict[int, float] = {}
        for number, reader in enumerate(readers):
            if reader.call is None:
                raise AssertionError("a reader without a stream")
            reader.call.ended.add_done_callback(partial(_note, ended, number))

        meter = Meter(server)
        await asyncio.gather(*(_sign_out(person, number, asked) for number, person in enumerate(everyone)))
        await until(lambda: len(ended) == crowd, 30, "every stream has ended")
        usage = meter.read()

        took = sorted(ended[number] - asked[number] for number in range(crowd))
        left = [await _refused(person) for person in everyone[:20]]
    if not all(left):
        findings.troubles.append("a session that was ended is still good")
    findings.add("sign-out asked for to end of stream, p50", percentile(took, 0.5) * 1e3, "ms")
    findings.add("sign-out asked for to end of stream, longest", took[-1] * 1e3, "ms", at_most(1000))
    findings.add("streams", crowd, "")
    usage.report(findings)
    return findings


def _note(ended: dict[int, float], number: int, _: asyncio.Future[None]) -> None:
    ended[number] = time.perf_counter()


async def _sign_out(person: Person, number: int, asked: dict[int, float]) -> None:
    asked[number] = time.perf_counter()
    await person.ask(SIGN_OUT, agent.SignOutRequest(), agent.SignOutResponse)


async def _refused(person: Person) -> bool:
    try:
        await person.ask("/madang.v1.AgentService/GetMe", agent.GetMeRequest(), agent.GetMeResponse)
    except CallError:
        return True
    return False
