"""`python -m tests.faults.kill --rounds 20`: kill -9 at random moments under load, restart on the same data, judge.

A round lets the clients work for a random while, kills the server, starts it again, and waits until the clients go on.
In every third round or so the server is killed once more while it starts.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from .checker import Fault, Verdict
from .load import Load, under_load
from .process import ServerProcess

LONGEST_LOAD = 0.8
"""Seconds of load before a kill, at most."""

LONGEST_START = 0.7
"""Seconds after which a starting server is killed, at most; a start takes about this long."""


@dataclass
class Outcome:
    """What became of all rounds."""

    seed: int
    rounds: int
    kills: int = 0
    sent: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    unanswered_stored: int = 0
    tries: int = 0
    read: int = 0
    streams: int = 0
    serving: list[float] = field(default_factory=list)
    """Seconds from each start to SERVING."""
    recovered: list[float] = field(default_factory=list)
    """Seconds from each kill until all clients had gone on."""
    verdict: Verdict = field(default_factory=lambda: Verdict(()))
    errors: dict[str, int] = field(default_factory=dict)

    def table(self) -> str:
        """The outcome, to be read."""
        count = self.verdict.count
        rows = [
            ("rounds (kills)", f"{self.rounds} ({self.kills})"),
            ("sent", f"{self.sent}, in {self.tries} tries"),
            ("acknowledged", f"{self.acknowledged}"),
            ("given up, of these stored", f"{self.unanswered}, {self.unanswered_stored}"),
            ("read", f"{self.read}, over {self.streams} streams"),
            ("lost", f"{count(Fault.LOST, Fault.UNREAD, Fault.RESET)}"),
            ("doubled", f"{count(Fault.DOUBLED, Fault.READ_TWICE)}"),
            ("out of order", f"{count(Fault.WRITER_ORDER, Fault.READ_ORDER)}"),
            ("holes, misplaced, invented", f"{count(Fault.HOLE, Fault.MISPLACED, Fault.INVENTED, Fault.READ_DIFFERS)}"),
            ("against the contract", f"{count(Fault.PROTOCOL)}"),
            ("start to SERVING", _seconds(self.serving)),
            ("kill to all clients going on", _seconds(self.recovered)),
            ("errors that clients met", ", ".join(f"{name} × {n}" for name, n in sorted(self.errors.items()))),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join([f"seed {self.seed}", *(f"{name:<{width}}  {value}" for name, value in rows)])


async def kill_rounds(
    server: ServerProcess, rounds: int, seed: int, meanwhile: Callable[[Path], None] = lambda _: None
) -> Outcome:
    """Run the rounds, and judge. `meanwhile`: what is done to the data of the killed server."""
    rng = random.Random(seed)
    outcome = Outcome(seed, rounds)
    outcome.serving.append(await server.start())
    async with under_load(server.target, seed) as load:
        await load.goes_on()
        for _ in range(rounds):
            await asyncio.sleep(rng.uniform(0, LONGEST_LOAD))  # the random moment
            await _kill_and_restart(server, rng, outcome, meanwhile)
            await load.goes_on(1)
            outcome.recovered[-1] = time.monotonic() - outcome.recovered[-1]
        outcome.verdict = await load.settle()
        _count(outcome, load)
    return outcome


async def _kill_and_restart(
    server: ServerProcess, rng: random.Random, outcome: Outcome, meanwhile: Callable[[Path], None]
) -> None:
    server.kill()
    outcome.kills += 1
    outcome.recovered.append(time.monotonic())
    if rng.random() < 1 / 3:
        server.launch()
        await asyncio.sleep(rng.uniform(0, LONGEST_START))
        server.kill()
        outcome.kills += 1
    meanwhile(server.data)
    outcome.serving.append(await server.start())


def _count(outcome: Outcome, load: Load) -> None:
    sends = load.history.sends
    texts = {entry.text for entries in load.stored.values() for entry in entries}
    unanswered = [sent for sent in sends if not sent.acknowledged]
    outcome.sent = len(sends)
    outcome.tries = sum(sent.tries for sent in sends)
    outcome.acknowledged = load.history.acknowledged
    outcome.unanswered = len(unanswered)
    outcome.unanswered_stored = sum(1 for sent in unanswered if sent.text in texts)
    outcome.read = sum(len(view.entries) for view in load.history.views)
    outcome.streams = load.streams
    outcome.errors = dict(load.history.errors)


def _seconds(values: Sequence[float]) -> str:
    return f"median {median(values):.2f} s, longest {max(values):.2f} s" if values else "-"


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kill", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=None, help="repeat the random moments of another run")
    arguments = parser.parse_args(argv)
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    with tempfile.TemporaryDirectory(prefix="madang-kill-") as directory:
        place = Path(directory)
        with ServerProcess(place / "data", place / "log") as server:
            outcome = asyncio.run(kill_rounds(server, arguments.rounds, seed))
    print(outcome.table())
    if outcome.verdict.findings:
        print(outcome.verdict, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
