"""The page that a run on a cluster leaves."""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING

from .checker import Fault
from .recovery import Recovery

if TYPE_CHECKING:
    from .cluster import Result

HOW = (
    "Slow is 20 to 300 ms more each way; narrow is 10 to 50 KB/s; a black hole takes all, in one direction or in "
    "both, and in the end gives it back or breaks the connections; answers lost is a black hole from PostgreSQL to a "
    "node, and then a cut. A full disk is a file system of PostgreSQL's own that becomes as small as what is on it. A "
    "clock that jumps is the time of day of one node, by up to a day either way, and back: a preloaded library tells "
    "it. At each fault somebody is put out of a channel at one node while others write in it at another, and then out "
    "of the server: it is wrong if they read what was written after, or if a stream of theirs goes on for a second. "
    "And at each fault three people leave, one at each node, or are cut off with it: it is wrong if 15 s after that, "
    "and after the fault, any node shows them as here, or does not show those who are here; or does so again before "
    "the next fault. Users of the classic contract chat in the lobby; and after each fault somebody new comes, who "
    "knows the Agent that stands alone, and is led from there."
)
AT_ONCE = "two of these at once"
CUT_SHORT = "Internal error from Core"


def render(result: Result) -> str:
    """The page, in Markdown."""
    return "\n".join([*_head(result), *_totals(result), *_faults(result), *_findings(result)]) + "\n"


def _head(result: Result) -> Iterator[str]:
    yield "# What a cluster goes through"
    yield ""
    yield (
        f"{time.strftime('%Y-%m-%d')}, {platform.system()} {platform.machine()}, CPython {platform.python_version()}: "
        f"{len(result.faults)} faults in {result.seconds / 60:.1f} minutes on three nodes, one Agent that stands "
        "alone, PostgreSQL and NATS, all on one machine with their clients, and a proxy in each link."
    )
    yield ""
    yield (
        f"Made by `python -m tests.faults.cluster`, seed {result.seed} (it repeats the plan, not the moments). The "
        "checker holds what clients sent, were told and read against what the nodes list in the end."
    )
    yield ""
    yield HOW
    yield ""
    for name in result.left_out:
        yield f"Not done, because this machine does not allow it: {name}."
    if result.left_out:
        yield ""


def _totals(result: Result) -> Iterator[str]:
    killed = [recovery.killed for step, recovery in result.steps if recovery.killed is not None and len(step) == 1]
    yield from _table(
        ("", ""),
        [
            ("faults", str(len(result.faults))),
            *result.totals.rows(),
            ("over the classic contract", _classic(result)),
            ("presence: who is shown as here, and is not, or the reverse", str(result.findings.count(Fault.PRESENCE))),
            ("other things that must not be", str(result.findings.count(Fault.SERVER, Fault.NODES_DIFFER))),
            ("a client's pause when its node is killed", _seconds(killed)),
            ("a session that is ended at a fault: its streams' end", _seconds(result.revocations)),
            ("after a fault, somebody who went or came is shown so everywhere within", _seconds(result.presence)),
            (
                "somebody new, who knows the Agent that stands alone: until they have written",
                _seconds(result.newcomers),
            ),
            ("errors that clients met", result.totals.errors_text()),
        ],
    )
    if any(CUT_SHORT in error for error in result.totals.errors):
        yield (
            f"{CUT_SHORT!r} comes from no server: gRPC's own client says it, in place of the status, when a stream "
            "breaks while it is being written to. It means what UNAVAILABLE means, and the writer tries again."
        )
        yield ""


def _faults(result: Result) -> Iterator[str]:
    yield "## Faults, and the time to recover"
    yield ""
    yield (
        "Seconds, from the end of the fault (of a kill and of a SIGTERM: from its moment) until every reader had read "
        "a message that was sent after it; and the longest time in which any client, writer or reader, had nothing, "
        "the fault itself with it. They are of those times that it came alone; those that came together have a row of "
        "their own. One that came only together with another has the figures of these two."
    )
    yield ""
    alone: defaultdict[str, list[Recovery]] = defaultdict(list)
    paired: defaultdict[str, list[Recovery]] = defaultdict(list)
    for step, recovery in result.steps:
        for planned in step:
            (alone if len(step) == 1 else paired)[planned.kind.name].append(recovery)
    rows = [
        _row(name, len(alone[name]) + len(paired[name]), len(alone[name]), alone[name] or paired[name])
        for name in sorted(alone.keys() | paired.keys())
    ]
    together = [recovery for step, recovery in result.steps if len(step) > 1]
    if together:
        rows.append(_row(AT_ONCE, 2 * len(together), 0, together))
    yield from _table(("fault", "times", "alone", "recovery, median", "longest", "pause, median", "longest"), rows)


def _row(name: str, times: int, alone: int, each: Sequence[Recovery]) -> tuple[str, ...]:
    return (name, str(times), str(alone), *_both([one.readers for one in each]), *_both([one.pause for one in each]))


def _findings(result: Result) -> Iterator[str]:
    yield "## Findings"
    yield ""
    yield "```"
    yield str(result.findings)
    yield "```"
    if result.wrong:
        yield ""
        yield "What must not be, and was, besides what the histories tell:"
        yield ""
        yield from (f"- {finding.where}" for finding in result.wrong)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _classic(result: Result) -> str:
    said, taken, streams, logins = result.classic
    return f"{said} texts sent, {taken} taken; read over {streams} streams; {logins} logins"


def _seconds(values: Sequence[float]) -> str:
    return f"median {median(values):.2f} s, longest {max(values):.2f} s, of {len(values)}" if values else "-"


def _both(values: Sequence[float]) -> tuple[str, str]:
    return (f"{median(values):.2f}", f"{max(values):.2f}") if values else ("-", "-")
