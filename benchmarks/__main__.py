"""`python -m benchmarks [SCENARIO …] [--rounds N] [--quick] [--profile]`: measure, and write the result page."""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from benchmarks.catch_up import catch_up
from benchmarks.cluster import compared
from benchmarks.common import Effort
from benchmarks.connection import CallError
from benchmarks.conversation import conversation
from benchmarks.durable import durable
from benchmarks.idle import idle
from benchmarks.report import Findings, Result, at_most, lines, page, say, together
from benchmarks.revocation import revocation
from benchmarks.rooms import rooms
from benchmarks.sampling import Profile, recording
from benchmarks.server import Server, ServerError, serve
from benchmarks.storm import storm
from benchmarks.watching import watching
from benchmarks.yardstick import yardstick

PAGE = Path(__file__).parent / "RESULTS.md"
CLUSTER = "cluster"
CLUSTER_PAGE = Path(__file__).parent / "CLUSTER.md"
PATIENCE = 600.0
"""Seconds that one run of a scenario may take."""


Run = Callable[[Server, Effort], Awaitable[Findings]]
"""Runs against a fresh server."""


@dataclass(frozen=True)
class Scenario:
    """What the command line calls it, its title on the page, and how it runs.

    `run`: against a fresh server of one node; `run_alone`: with whatever servers it starts itself.
    """

    name: str
    title: str
    run: Run | None = None
    run_alone: Callable[[Effort], Awaitable[Findings]] | None = None


def _in_a_cluster(title: str, run: Run) -> Scenario:
    return Scenario(CLUSTER, f"cluster: {title}", run_alone=partial(compared, run=run))


SCENARIOS = (
    Scenario("storm", "storm, 1,000 readers", partial(storm, crowd=1000, target=at_most(0.3))),
    Scenario("storm", "storm, 100 readers", partial(storm, crowd=100, target=at_most(0.6))),
    Scenario("conversation", "conversation", conversation),
    Scenario("rooms", "small rooms", rooms),
    Scenario("durable", "durable sends", durable),
    Scenario("idle", "idle", idle),
    Scenario("catch-up", "catch-up", catch_up),
    Scenario("revocation", "revocation", revocation),
    _in_a_cluster("storm, 1,000 readers", partial(storm, crowd=1000)),
    _in_a_cluster("conversation", conversation),
    _in_a_cluster("small rooms", rooms),
    _in_a_cluster("durable sends", durable),
    _in_a_cluster("idle", idle),
    Scenario(CLUSTER, "cluster: channels watched", run_alone=watching),
)
NAMES = tuple(dict.fromkeys(scenario.name for scenario in SCENARIOS))
ALONE = tuple(name for name in NAMES if name != CLUSTER)
"""What is run when nothing is named: one node, without PostgreSQL and NATS."""


class InvalidRunError(Exception):
    """A run lost messages, or could not be made."""


def main() -> int:
    """Run what the command line asks for. Exit code 1 when a run was invalid; a missed target is not a failure."""
    options = _options()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        results = uvloop.run(_measure(options))
    except (InvalidRunError, ServerError) as error:
        say(f"invalid: {error}")
        return 1
    text = page(results, command=_command(options), rounds=options.rounds)
    if options.output is None:
        print(text)
    else:
        options.output.write_text(text)
        say(f"written to {options.output}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast is Madang?")
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"some of: {', '.join(NAMES)}; default: all but {CLUSTER}"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each scenario (default 3)")
    parser.add_argument("--quick", action="store_true", help="a quarter of the time and the amounts, for a look")
    parser.add_argument("--profile", action="store_true", help="one more run of each under py-spy and perf")
    parser.add_argument(
        "--output", type=Path, help="the result page (default, in full: RESULTS.md, or CLUSTER.md for {CLUSTER})"
    )
    parser.add_argument("--server", default="", metavar="ARGUMENTS", help="more arguments for `madang serve`")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(NAMES):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.output is None and not options.quick:
        options.output = {(): PAGE, (CLUSTER,): CLUSTER_PAGE}.get(tuple(options.scenarios))
    return options


def _command(options: argparse.Namespace) -> str:
    """The command that makes the same figures; without paths of this machine."""
    words = ["python -m benchmarks", *options.scenarios, f"--rounds {options.rounds}"]
    words += [flag for flag, on in (("--quick", options.quick), ("--profile", options.profile)) if on]
    words += [f'--server="{options.server}"'] if options.server else []
    return " ".join(words)


async def _measure(options: argparse.Namespace) -> list[Result]:
    effort = Effort(options.quick)
    arguments = options.server.split()
    results = []
    for scenario in SCENARIOS:
        if scenario.name not in (options.scenarios or ALONE):
            continue
        runs = []
        for number in range(options.rounds):
            say(f"{scenario.title}: run {number + 1} of {options.rounds}")
            before = yardstick()
            findings = await _run(scenario, effort, arguments)
            findings.add("yardstick before and after, a loop in Python", (before + yardstick()) / 2, "ms")
            runs.append(findings)
        profile = await _profile(scenario, effort, arguments) if options.profile else None
        result = together(scenario.title, runs, profile)
        results.append(result)
        for line in lines(result):
            say(str(line))
    return results


async def _run(scenario: Scenario, effort: Effort, arguments: list[str]) -> Findings:
    """One run, without our own garbage collector in it. Raises InvalidRunError."""
    if scenario.run_alone is not None:
        return await _measured(scenario, scenario.run_alone(effort))
    if scenario.run is None:
        raise InvalidRunError(f"{scenario.title} has nothing to run")
    async with serve(arguments) as server:
        return await _measured(scenario, scenario.run(server, effort))


async def _measured(scenario: Scenario, running: Awaitable[Findings]) -> Findings:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        async with asyncio.timeout(PATIENCE):
            findings = await running
    except* (CallError, OSError, AssertionError) as failed:
        raise InvalidRunError(f"{scenario.title}: {failed.exceptions[0]!r}") from failed
    finally:
        gc.enable()
        gc.unfreeze()
    if findings.troubles:
        raise InvalidRunError(f"{scenario.title}: " + "; ".join(findings.troubles[:5]))
    return findings


async def _profile(scenario: Scenario, effort: Effort, arguments: list[str]) -> Profile | None:
    if scenario.run is None:
        return None
    say(f"{scenario.title}: profile")
    async with serve(arguments) as server, recording(server.pids[0]) as recorded:
        await _measured(scenario, scenario.run(server, effort))
    return recorded.profile


if __name__ == "__main__":
    sys.exit(main())
