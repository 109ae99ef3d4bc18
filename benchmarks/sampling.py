"""Where the server spends its time: Python functions by py-spy, libraries and kernel by perf, each if it is there."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

_RATE = "200"
_TOP = 15
_LONGEST = "600"
_PATIENCE = 60.0
_PLACE = re.compile(r"^(?P<function>.*) \((?P<file>[^()]*?)(:\d+)?\)$")
_SHARE = re.compile(r"^\s+(?P<percent>\d+\.\d+)%\s+\[?(?P<name>[^\s\]]+)")
_BUILD = re.compile(r"\.kallsyms$|\.(cpython-\w+(-\w+)*|abi3)\.so$|\.so(\.\d+)*$")

Shares = tuple[tuple[str, float], ...]
"""Names, each with its share of the whole, from 0 to 1; the largest first."""


@dataclass(frozen=True)
class Profile:
    """What was found: self times. Empty where a tool is missing."""

    functions: Shares
    """Of the samples with the interpreter held. What a function calls in C while it holds it counts as its own."""
    libraries: Shares
    """Of all CPU time, the kernel's included."""


class Recording:
    """A profile that is being taken; `profile` is there once the recording has ended."""

    profile: Profile | None = None


@contextlib.asynccontextmanager
async def recording(pid: int) -> AsyncIterator[Recording]:
    """Sample a process until the block ends, with whatever tools there are."""
    result = Recording()
    with tempfile.TemporaryDirectory() as directory:
        stacks, data = Path(directory) / "stacks", Path(directory) / "perf.data"
        python = f"record --gil --rate {_RATE} --format raw --duration {_LONGEST} --pid {pid} --output {stacks}"
        native = f"record --freq {_RATE} --pid {pid} --output {data}"
        async with _running("py-spy", python), _running("perf", native):
            yield result
        listing = await _output("perf", f"report --input {data} --stdio --sort dso --call-graph none")
        functions = read_stacks(stacks.read_text(errors="replace")) if stacks.exists() else ()
        result.profile = Profile(functions, read_shares(listing))


def read_stacks(stacks: str) -> Shares:
    """Read collapsed stacks (`outer;…;inner COUNT` a line) into self times. Paths are cut to their last two parts."""
    counts: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        counts[_name(stack.rpartition(";")[2])] += int(count)
    return tuple((name, count / counts.total()) for name, count in counts.most_common(_TOP) if name)


def read_shares(listing: str) -> Shares:
    """Read perf's table of shared objects."""
    found = (_SHARE.match(line) for line in listing.splitlines())
    return tuple((_BUILD.sub("", row["name"]), float(row["percent"]) / 100) for row in found if row)[:_TOP]


def _name(place: str) -> str:
    found = _PLACE.match(place)
    if found is None:
        return place
    return f"{found['function']} ({'/'.join(found['file'].split('/')[-2:])})"


def _tool(name: str) -> str | None:
    """The path of a tool, beside this Python or elsewhere."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


@contextlib.asynccontextmanager
async def _running(name: str, arguments: str) -> AsyncIterator[None]:
    """Run a tool until the block ends, when it is interrupted. Says so when it is missing."""
    if (tool := _tool(name)) is None:
        print(f"{name} is not installed: that part of the profile is missing", file=sys.stderr)
        yield
        return
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(tool, *arguments.split(), stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), _PATIENCE)


async def _output(name: str, arguments: str) -> str:
    """What a tool writes; empty when it is missing or fails."""
    if (tool := _tool(name)) is None:
        return ""
    pipe, quiet = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(tool, *arguments.split(), stdout=pipe, stderr=quiet)
    output, _ = await asyncio.wait_for(process.communicate(), _PATIENCE)
    return output.decode(errors="replace")
