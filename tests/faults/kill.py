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

from .checker import Verdict
from .load import under_load
from .process import ServerProcess
from .totals import Totals, seconds

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
    serving: list[float] = field(default_factory=list)
    """Seconds from each start to SERVING."""
    recovered: list[float] = field(default_factory=list)
    """Seconds from each kill until all clients had gone on."""
    totals: Totals = field(default_factory=Totals)

    @property
    def verdict(self) -> Verdict:
        """What the checker says."""
        return self.totals.verdict

    def table(self) -> str:
        """The outcome, to be read."""
        rows = [
            ("rounds (kills)", f"{self.rounds} ({self.kills})"),
            *self.totals.rows(),
            ("start to SERVING", seconds(self.serving)),
            ("kill to all clients going on", seconds(self.recovered)),
            ("errors that clients met", self.totals.errors_text()),
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
        outcome.totals = Totals.of(load, await load.settle())
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
