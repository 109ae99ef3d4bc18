"""Figures, targets, and the result page."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.sampling import Profile, Shares
from benchmarks.server import scratch

_PROFILE_INTRODUCTION = (
    "## Where the server spends its time",
    "",
    "Sampled in a run of its own: Python functions by py-spy, of the time that the interpreter was held, what they "
    "call in C included; libraries and the kernel by perf, of all CPU time.",
)


@dataclass(frozen=True)
class Target:
    """What a figure should be: at most `limit`, or at least."""

    limit: float
    at_most: bool

    def met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {number(self.limit)}"


def at_most(limit: float) -> Target:
    """A target from above."""
    return Target(limit, at_most=True)


def at_least(limit: float) -> Target:
    """A target from below."""
    return Target(limit, at_most=False)


@dataclass(frozen=True)
class Measured:
    """One figure of one run."""

    title: str
    value: float
    unit: str
    target: Target | None = None


@dataclass(frozen=True)
class Figure:
    """One figure over all runs."""

    title: str
    unit: str
    target: Target | None
    values: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """Whether the median meets the target; empty when there is none."""
        if self.target is None:
            return ""
        return "met" if self.target.met(median(self.values)) else "**missed**"


@dataclass(frozen=True)
class Result:
    """One scenario: its figures over all runs, and where the server spent its time, if that was asked for."""

    title: str
    figures: tuple[Figure, ...]
    profile: Profile | None = None


@dataclass
class Findings:
    """What one run of a scenario found."""

    measured: list[Measured] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    """Whatever makes the run invalid: lost messages, refusals."""

    def add(self, title: str, value: float, unit: str, target: Target | None = None) -> None:
        """Add a figure."""
        self.measured.append(Measured(title, value, unit, target))


def together(title: str, runs: Sequence[Findings], profile: Profile | None) -> Result:
    """The runs of one scenario, figure by figure, in the order in which they first came."""
    by_title: dict[str, list[Measured]] = {}
    for run in runs:
        for measured in run.measured:
            by_title.setdefault(measured.title, []).append(measured)
    figures = (
        Figure(name, found[0].unit, found[0].target, tuple(each.value for each in found))
        for name, found in by_title.items()
    )
    return Result(title, tuple(figures), profile)


def number(value: float) -> str:
    """A number with three digits that matter, thousands apart."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    scenario: str
    figure: str
    unit: str
    target: str
    median: str
    spread: str
    verdict: str

    def __str__(self) -> str:
        return f"| {' | '.join(astuple(self))} |"


def lines(result: Result) -> Iterator[Line]:
    """A scenario's rows of the table."""
    for figure in result.figures:
        low, high = number(min(figure.values)), number(max(figure.values))
        spread = low if low == high else f"{low} – {high}"
        target = str(figure.target) if figure.target else ""
        yield Line(
            result.title, figure.title, figure.unit, target, number(median(figure.values)), spread, figure.verdict
        )


def _table(rows: Iterable[Line]) -> list[str]:
    head = ["| scenario | figure | unit | target | median | range | |", "| --- | --- | --- | --- | ---: | ---: | --- |"]
    return head + [str(row) for row in rows]


def page(results: Sequence[Result], *, command: str, rounds: int) -> str:
    """The result page, in Markdown."""
    parts = [
        "# How fast Madang is",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine()}.",
        "",
        f"Made by `{command}`. Medians of {rounds} run{'s' if rounds > 1 else ''}, each on a fresh server with an "
        "empty data directory; server and load share the machine's cores. CPU time is the server's own, user and "
        "system, all threads, as the operating system counts it. In every run every reader's ranges were followed "
        "without a gap to the head that the acknowledgements named; in storm and catch-up some checked every message. "
        "The yardstick, a loop of plain Python before and after each run, tells how fast the machine was: a virtual "
        "one may run at half its speed while its neighbours are busy.",
        "",
        *_table(line for result in results for line in lines(result) if line.target),
        "",
        "## All figures",
        "",
        *_table(line for result in results for line in lines(result)),
    ]
    if any(result.profile for result in results):
        parts += ["", *_PROFILE_INTRODUCTION]
    for result in results:
        if result.profile is not None:
            parts += ["", f"**{result.title}**"]
            parts += _shares("Python function", result.profile.functions)
            parts += _shares("library", result.profile.libraries)
    return "\n".join(parts).rstrip() + "\n"


def _shares(what: str, shares: Shares) -> list[str]:
    if not shares:
        return []
    rows = [f"| {share:.1%} | `{name}` |" for name, share in shares]
    return ["", f"| self time | {what} |", "| ---: | --- |", *rows]


def machine() -> str:
    """The machine and the Python, in a phrase."""
    model = "unknown processor"
    with Path("/proc/cpuinfo").open() as info:
        for line in info:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    cores = len(os.sched_getaffinity(0))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{cores} cores of {model}, {platform.system()} {platform.machine()}, {python}, data on {_filesystem()}"


def _filesystem() -> str:
    """The type of the file system that the data directories are on."""
    where = scratch().resolve()
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    fitting = [(len(point), kind) for _, point, kind, *_ in mounts if where.is_relative_to(point)]
    return max(fitting)[1]


def say(text: str) -> None:
    """Tell whoever watches."""
    print(text, file=sys.stderr, flush=True)
