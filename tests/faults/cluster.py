"""`python -m tests.faults.cluster --minutes 30 --faults 100`: three nodes, PostgreSQL, NATS, and every kind of fault.

Clients write and read at all nodes meanwhile, over the raw contract and over the SDK. After each fault the next waits
until every client has gone on. In the end the histories are judged, and a page says what was found.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from . import page
from .checker import Fault, Finding, Verdict
from .classic import LOBBY, ClassicCrowd, classic_crowd
from .kinds import KINDS, Injection
from .load import Crowd, Load, under_load
from .newcomers import Newcomer
from .nodes import Cluster, ClusterNode
from .outsiders import Outsider
from .people import Connection, Person, connect, make_channel, sign_in, stored_in
from .plan import Planned, Step, plan
from .presence import Presences
from .process import eventually
from .recovery import LONGEST, Observer, Recovery
from .totals import Totals
from .writers import PostWriter, SendWriter

CROWD = Crowd(
    (PostWriter, SendWriter, PostWriter, SendWriter),
    readers=4,
    sdk=3,
    channels=4,
    pace=20.0,
    habits=((False, 0.0), (True, 0.0), (False, 0.002), (True, 0.002)),
)
CLASSIC_USERS, CLASSIC_PACE = 3, 4.0
"""How many users of the classic contract there are, and how many texts a second each of them writes."""
LONGEST_SETTLE = 120.0
IMPATIENT = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500))
"""Of a client that waits for the one node that it wants."""
BUS = ("bus", "bus's link")
"""The parts whose faults leave the database where it is: then a session that is ended is over at once, all the same."""
PAUSE = 5.0
"""Seconds that a client may have nothing when its node is killed: the promise."""
LATEST_END = 1.0
"""Seconds in which the streams of a session that was ended are over, on every node: the promise."""

TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)*(\S.*)")
"""With what it was about, in its last line."""

BROKEN = (
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "CANCELLED",
    "INTERNAL Internal error from Core",
    "INTERNAL Received RST_STREAM",
    "UNKNOWN Stream removed",
    "SDK SERVER_UNREACHABLE",
    "SDK SERVER_DRAINING",
    "SDK STORAGE_UNAVAILABLE",
    "SDK UNAVAILABLE",
)
"""How the errors begin that clients may meet: each says that the same again may work, and so it has to."""


@dataclass
class Result:
    """Of a whole run."""

    seed: int
    seconds: float = 0.0
    steps: list[tuple[Step, Recovery]] = field(default_factory=list)
    revocations: list[float] = field(default_factory=list)
    """After each fault: how long the streams of a session that was ended went on, seconds."""
    classic: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Of the classic contract: texts that were handed over, that were taken, streams, logins."""
    presence: list[float] = field(default_factory=list)
    """After each fault: for how long somebody was shown as here who was not, or the reverse, seconds."""
    newcomers: list[float] = field(default_factory=list)
    """After each fault: how long somebody new took, from the Agent that stands alone to an acknowledged message."""
    left_out: list[str] = field(default_factory=list)
    """Kinds of faults that this machine does not allow."""
    totals: Totals = field(default_factory=Totals)
    wrong: list[Finding] = field(default_factory=list)

    @property
    def faults(self) -> list[Planned]:
        """Every fault that there was."""
        return [planned for step, _ in self.steps for planned in step]

    @property
    def findings(self) -> Verdict:
        """Everything that is wrong."""
        return Verdict((*self.wrong, *self.totals.verdict.findings))


class Run:
    """One run: a plan, carried out on a cluster under load."""

    def __init__(self, seed: int, minutes: float, faults: int, short: bool, log: bool, only: str) -> None:
        self.result = Result(seed)
        self._rng = random.Random(seed)
        self._until = time.monotonic() + minutes * 60
        self._faults = faults
        self._short = short
        self._log = log
        self._only = only
        self._outside: tuple[Person, int] | None = None
        self._at = "before the first fault"
        """Where the run is."""

    async def run(self, directory: Path) -> Result:
        """Do it all; `directory` is empty, and keeps the logs."""
        begin = time.monotonic()
        async with Cluster(directory) as cluster:
            wanted = [kind for kind in KINDS if re.search(self._only, kind.name)]
            possible = [kind for kind in wanted if kind.can_be_done(cluster)]
            self.result.left_out = [kind.name for kind in wanted if kind not in possible]
            steps = plan(possible, self._faults, self._rng, self._short)
            async with under_load(cluster.target, self.result.seed, CROWD) as load:
                await load.goes_on()
                try:
                    async with self._presences(cluster, load) as presences, self._classic(cluster, load) as classic:
                        await self._steps(cluster, load, presences, classic, steps)
                finally:
                    self._say(f"errors so far: {dict(load.history.errors)}")
                verdict = await load.settle(LONGEST_SETTLE)
            self._at = "in all"
            self.result.totals = Totals.of(load, verdict)
            self._look_at_errors(load)
            self._look_at_logs(cluster)
        self.result.seconds = time.monotonic() - begin
        return self.result

    @asynccontextmanager
    async def _presences(self, cluster: Cluster, load: Load) -> AsyncIterator[Presences]:
        async with AsyncExitStack() as stack:
            nodes = [
                (node.name, await stack.enter_async_context(connect(node.process.target, IMPATIENT)))
                for node in cluster.nodes
            ]
            errors = load.history.errors
            yield await stack.enter_async_context(Presences(nodes, self._rng, errors, self._presence_is_wrong))

    @asynccontextmanager
    async def _classic(self, cluster: Cluster, load: Load) -> AsyncIterator[ClassicCrowd]:
        """Users of the classic contract; judged in the end."""
        targets = [node.target for node in cluster.nodes]
        async with classic_crowd(targets, CLASSIC_USERS, self._rng, CLASSIC_PACE, self._wrong) as crowd:
            yield crowd
            self._at = "the classic contract"
            async with connect(targets[0]) as connection:
                reader = await sign_in(connection, "classic-checker")
                self.result.wrong += await crowd.settle(lambda: stored_in(connection, reader, LOBBY), LONGEST_SETTLE)
            taken = sum(said.taken for said in crowd.said)
            self.result.classic = len(crowd.said), taken, len(crowd.heard), crowd.logins
            load.history.errors.update(crowd.errors)

    async def _steps(
        self, cluster: Cluster, load: Load, presences: Presences, classic: ClassicCrowd, steps: Sequence[Step]
    ) -> None:
        for number, step in enumerate(steps):
            await asyncio.sleep(self._gap(len(steps) - number))
            names = " + ".join(planned.kind.name for planned in step)
            self._at = f"fault {number + 1}, {names}"
            self._say(f"{number + 1}/{len(steps)} {names}, {max(planned.hold for planned in step):.1f} s")
            kinds = [planned.kind for planned in step]
            more_than_nats = len(step) > 1 and any(kind.keeps_from_nats for kind in kinds)
            classic.may_be_signed_out = more_than_nats or any(kind.silences_nodes for kind in kinds)
            recovery = await self._step(cluster, load, presences, step)
            await classic.go_on(time.monotonic(), LONGEST)
            nodes = {node.target: node.name for node in cluster.everything}
            who, _, where = recovery.who.rpartition(" ")
            pause = f"longest pause {recovery.pause:.2f} s ({who} {nodes.get(where, where)})"
            self._say(f"    recovered in {recovery.readers:.2f} s, {pause}")
            self.result.steps.append((step, recovery))
            if recovery.killed is not None and len(step) == 1 and recovery.killed >= PAUSE:
                self._wrong(f"a client paused for {recovery.killed:.2f} s when its node was killed")
            await self._revive(cluster)
            if not self._short or number + 1 == len(steps):
                await self._see_presence(presences)

    async def _see_presence(self, presences: Presences) -> None:
        took = await presences.right()
        if took is not None:
            self._say(f"    every node shows who is here; somebody was shown wrongly for {took:.2f} s")
            self.result.presence.append(took)

    async def _step(self, cluster: Cluster, load: Load, presences: Presences, step: Step) -> Recovery:
        hold = max(planned.hold for planned in step)
        async with AsyncExitStack() as stack:
            passers = await presences.disturb()
            direct = [await stack.enter_async_context(connect(node.process.target)) for node in cluster.nodes]
            outsider = await stack.enter_async_context(Outsider(direct, self._rng, *await self._room(direct[0])))
            observer = Observer(load)
            busy = observer.busy()
            left = len(step)

            def over(killed: ClusterNode | None) -> None:
                nonlocal left
                left -= 1
                observer.over(killed)
                if left == 0:
                    presences.calm(any(planned.kind.keeps_from_nats for planned in step))

            injections = [
                Injection(cluster, random.Random(planned.seed), planned.hold, over, self._wrong, busy)
                for planned in step
            ]
            await asyncio.gather(
                outsider.be_put_out(hold),
                presences.leave(passers, hold),
                *(each.kind.act(injection) for each, injection in zip(step, injections, strict=True)),
            )
            recovery = await observer.recovered()
            only_the_bus = all(planned.kind.part in BUS for planned in step)
            await self._judge(outsider, 0.0 if only_the_bus else observer.over_at)
            await self._let_in(cluster, await self._room(direct[0]))
        return recovery

    async def _let_in(self, cluster: Cluster, room: tuple[Person, int]) -> None:
        """Somebody new comes into this room."""
        newcomer = Newcomer(cluster.agent.target, room[1], self._rng)
        took = await newcomer.come()
        self.result.newcomers.append(took)
        self._say(f"    somebody new came in by the Agent alone in {took:.2f} s")
        if missing := await newcomer.is_missing([node.target for node in cluster.nodes]):
            self._wrong(f"what {newcomer.name} wrote is not there, or not once, at {missing}")

    async def _room(self, connection: Connection) -> tuple[Person, int]:
        """Where outsiders are put out of, and its owner."""
        if self._outside is None:
            host = await sign_in(connection, "host")
            self._outside = host, await make_channel(connection, host, "side-room")
        return self._outside

    async def _judge(self, outsider: Outsider, over_at: float) -> None:
        since = max(outsider.signed_out_at, over_at)
        with suppress(AssertionError):
            await eventually(lambda: outsider.is_out, "their streams end", 10 * LATEST_END)
        took = outsider.went_on_for(since)
        self.result.revocations.append(took)
        if took >= LATEST_END:
            self._wrong(f"the streams of a session that was ended went on for {took:.2f} s")
        if leaks := outsider.leaks():
            self._wrong(f"{outsider.person.name} was put out, and read {leaks}")
        if "OK" in await outsider.is_let_in():
            self._wrong(f"{outsider.person.name} was signed out, and is let in")

    def _gap(self, left: int) -> float:
        """How long to wait before the next of so many steps, so that they fill the time."""
        spare = (self._until - time.monotonic()) / left - (1.0 if self._short else 14.0)
        return self._rng.uniform(0.5, 1.5) * max(0.3, spare)

    async def _revive(self, cluster: Cluster) -> None:
        for node in cluster.everything:
            if node.process.has_ended:
                self._wrong(f"{node.name} ended by itself")
                node.process.forget()
                await node.process.start()

    def _look_at_errors(self, load: Load) -> None:
        for error, count in load.history.errors.items():
            if error != "gap" and not error.startswith(BROKEN):
                self._wrong(f"clients met {error!r}, {count} times")

    def _look_at_logs(self, cluster: Cluster) -> None:
        for node in cluster.everything:
            for error, count in Counter(TRACEBACK.findall(node.process.output)).items():
                self._wrong(f"{node.name} printed a traceback, {count} times: {error}")

    def _wrong(self, what: str, fault: Fault = Fault.SERVER) -> None:
        self._say(f"    WRONG: {what}")
        self.result.wrong.append(Finding(fault, f"{self._at}: {what}"))

    def _presence_is_wrong(self, what: str) -> None:
        self._wrong(what, Fault.PRESENCE)

    def _say(self, line: str) -> None:
        if self._log:
            print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


async def run(
    seed: int, minutes: float, faults: int, directory: Path, *, short: bool = False, log: bool, only: str = ""
) -> Result:
    """Do a run, with the kinds of faults whose names `only` matches. It ends in order when this process is told to."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _task().cancel)
    return await Run(seed, minutes, faults, short, log, only).run(directory)


def _task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.cluster", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, metavar="N", help="how long, about (default: 30)")
    parser.add_argument("--faults", type=int, default=100, metavar="N", help="how many (default: 100)")
    parser.add_argument("--seed", type=int, default=None, help="repeat the plan of another run")
    parser.add_argument("--short", action="store_true", help="faults that last for a few seconds only")
    parser.add_argument("--only", default="", metavar="REGEX", help="kinds whose names match only")
    parser.add_argument("--page", type=Path, default=None, metavar="FILE", help="write what was found to this file")
    parser.add_argument("--keep", type=Path, default=None, metavar="DIR", help="where data and logs stay; empty")
    arguments = parser.parse_args(argv)
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="madang-faults-", ignore_cleanup_errors=True) as directory:
        place = arguments.keep or Path(directory)
        place.mkdir(exist_ok=True)
        try:
            result = asyncio.run(
                run(
                    seed,
                    arguments.minutes,
                    arguments.faults,
                    place,
                    short=arguments.short,
                    log=True,
                    only=arguments.only,
                )
            )
        except (asyncio.CancelledError, KeyboardInterrupt):
            print("stopped; nothing runs any more", file=sys.stderr)
            return 130
    text = page.render(result)
    print(text)
    if arguments.page is not None:
        arguments.page.write_text(text)
    if result.findings.findings:
        print(result.findings, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
