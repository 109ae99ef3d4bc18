"""Two nodes over PostgreSQL and NATS, beside one node over SQLite: what does it cost to be many?"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import psutil
from parts.nats import Nats
from parts.postgres import Postgres

from benchmarks.common import Effort
from benchmarks.report import Findings, Measured, at_most
from benchmarks.server import Server, node, scratch_directory, serve

NODES = 2
ADDED = 3.0
"""How much later a message may be read at another node than it would be at its own, milliseconds, in the middle."""
DEARER = 1.3
"""How many times as much CPU of the nodes a delivery may cost."""

_COST = "server CPU per delivered message"
_COMPARED = (
    (_COST, "µs"),
    ("send to read, p50", "ms"),
    ("send to read, p99", "ms"),
    ("highest rate with p99 ≤ 250 ms", "messages/s"),
    ("messages stored", "/s"),
    ("server CPU per message stored", "µs"),
    ("10 senders over Post: acknowledged", "messages/s"),
    ("10 senders over Post: send to acknowledgement, p50", "ms"),
    ("200 senders over Post: acknowledged", "messages/s"),
    ("200 senders over Post: server CPU per message", "µs"),
    ("sign-ins, connection included", "/s"),
    ("server CPU per sign-in", "µs"),
    ("memory per subscriber", "KiB"),
    ("CPU at rest", "% of a core"),
)
"""Figures that stand beside each other."""


@contextlib.asynccontextmanager
async def cluster(arguments: Sequence[str] = (), nodes: int = NODES) -> AsyncIterator[Server]:
    """Run a cluster on loopback: a PostgreSQL that waits for the disk, NATS, and nodes. Raises ServerError."""
    async with contextlib.AsyncExitStack() as stack:
        directory = stack.enter_context(scratch_directory())
        postgres = Postgres(fsync="on")
        stack.callback(postgres.close)
        postgres.start()
        nats = stack.enter_context(Nats(directory))
        place = ("--database", postgres.url("postgres"), "--bus", nats.url, "--cluster", directory.name)
        common = (*place, "--handover", "0", *arguments)
        running = [await stack.enter_async_context(node(directory, common)) for _ in range(nodes)]
        yield Server(
            tuple(place for server in running for place in server.places),
            tuple(pid for server in running for pid in server.pids),
            {"PostgreSQL": partial(_family_cpu, postgres.pid), "NATS": partial(_family_cpu, nats.pid)},
        )


async def compared(effort: Effort, run: Callable[[Server, Effort], Awaitable[Findings]]) -> Findings:
    """Run a scenario on one node and on a cluster, one after the other, and put the figures beside each other."""
    async with serve() as server:
        alone = await run(server, effort)
    async with cluster() as server:
        before = {name: cpu() for name, cpu in server.beside.items()}
        together = await run(server, effort)
        beside = {name: cpu() - before[name] for name, cpu in server.beside.items()}
    findings = Findings(troubles=alone.troubles + together.troubles)
    one, many = _by_title(alone), _by_title(together)
    if _COST in one:
        findings.add(f"{_COST}: two nodes / one", many[_COST].value / one[_COST].value, "times", at_most(DEARER))
    if "send to read, p50" in one:
        added = many["send to read, p50"].value - one["send to read, p50"].value
        findings.add("send to read at the other node, p50: later by", added, "ms", at_most(ADDED))
    for name, unit in _COMPARED:
        if name in one and name in many:
            findings.add(f"{name}: one node", one[name].value, unit)
            findings.add(f"{name}: two nodes", many[name].value, unit)
    for name, seconds in beside.items():
        findings.add(f"two nodes: CPU time of {name} in the whole run", seconds, "s")
    return findings


def _by_title(findings: Findings) -> dict[str, Measured]:
    return {measured.title: measured for measured in findings.measured}


def _family_cpu(pid: int) -> float:
    """Seconds of CPU time of a process and of its children, those that have ended too."""
    process = psutil.Process(pid)
    seconds = 0.0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds
