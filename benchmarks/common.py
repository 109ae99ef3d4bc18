"""What the scenarios share: effort, measuring, waiting, and arithmetic over what came back."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.people import Person
from benchmarks.readers import CarefulReader, Follower, Reader
from benchmarks.report import Findings
from benchmarks.senders import Receipt
from benchmarks.server import Server, cpu_seconds, machine_cpu_seconds


@dataclass(frozen=True)
class Effort:
    """How much of everything: all of it, or a quarter for a quick look."""

    quick: bool = False

    def seconds(self, full: float) -> float:
        """A duration in seconds."""
        return full / 4 if self.quick else full

    def count(self, full: int) -> int:
        """A number of people or messages."""
        return full // 4 if self.quick else full


@dataclass(frozen=True)
class Usage:
    """What was used: seconds of wall time, and of CPU time by the server, by these load clients and by anyone else."""

    wall: float
    server: float
    load: float
    others: float

    def report(self, findings: Findings, when: str = "") -> None:
        """Add who was how busy. Where others were, or where the load clients had no time left, the run says little."""
        findings.add(f"{when}server busy", self.server / self.wall * 100, "% of a core")
        findings.add(f"{when}load clients busy", self.load / self.wall * 100, "% of a core")
        findings.add(f"{when}others on the machine busy", max(0.0, self.others / self.wall * 100), "% of a core")


class Meter:
    """Measures from its making."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._begin = self._now()

    def read(self) -> Usage:
        """What was used since the beginning."""
        wall, server, load, machine = (now - then for now, then in zip(self._now(), self._begin, strict=True))
        return Usage(wall, server, load, machine - server - load)

    def _now(self) -> tuple[float, float, float, float]:
        return time.perf_counter(), self._server.cpu(), cpu_seconds(os.getpid()), machine_cpu_seconds()


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition, looking every 20 ms. Raises TimeoutError with `what` when it does not come true."""
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        await asyncio.sleep(0.02)


async def subscribe(people: Sequence[Person], readers: Sequence[Reader | CarefulReader], channels: int) -> None:
    """Begin everyone's live stream, and wait until each has opened its number of `channels`."""
    for person, reader in zip(people, readers, strict=True):
        reader.call = person.subscribe(reader)

    def opened() -> bool:
        for reader in readers:
            reader.check()
        return all(len(reader.positions) >= channels for reader in readers)

    await until(opened, 60, "every stream is open")


def at_head(readers: Sequence[Follower], heads: dict[int, int]) -> Callable[[], bool]:
    """Whether every reader is at the head of those channels that it follows. Raises what ended a stream."""
    waiting = list(readers)

    def arrived() -> bool:
        while waiting:
            waiting[-1].check()
            positions = waiting[-1].positions
            if any(positions[channel] < head for channel, head in heads.items() if channel in positions):
                return False
            waiting.pop()
        return True

    return arrived


def heads(receipts: Iterable[Receipt]) -> dict[int, int]:
    """The highest sequence that was acknowledged, by channel."""
    found: dict[int, int] = {}
    for receipt in receipts:
        found[receipt.channel_id] = max(receipt.sequence, found.get(receipt.channel_id, 0))
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a `share` of the sorted `values` does not exceed; infinite when there are none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


def delays(arrivals: Iterable[tuple[int, int, int, float]], sent: dict[tuple[int, int], float]) -> list[float]:
    """Seconds from send to read, sorted: each of the messages in `sent` (channel, sequence: when), each reader."""
    found = [
        when - sent[channel, sequence]
        for channel, after, through, when in arrivals
        for sequence in range(after + 1, through + 1)
        if (channel, sequence) in sent
    ]
    found.sort()
    return found
