"""The command line as an administrator uses it: in a process of its own, or, where that is the same, in this one."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from faults.process import environment

from madang.node.command import add_parser
from madang.node.operating import add_parsers


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


async def madang(*line: str | Path, limit: str = "", **variables: str) -> Ended:
    """Run a command in a process of its own. `limit`: what the shell's ulimit is given first."""
    argv = [sys.executable, "-m", "madang", *map(str, line)]
    if limit:
        argv = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *argv]
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=environment() | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return Ended(process.returncode or 0, out.decode(), err.decode())


def parse(*line: str | Path) -> argparse.Namespace:
    """A command line of the server's commands."""
    parser = argparse.ArgumentParser(prog="madang")
    commands = parser.add_subparsers(required=True)
    add_parser(commands)
    add_parsers(commands)
    return parser.parse_args([str(part) for part in line])


def run(*line: str | Path) -> int:
    """Run a command in this process; the exit code."""
    arguments = parse(*line)
    return int(arguments.func(arguments))


def mode(path: Path) -> int:
    """The permissions of a file."""
    return os.stat(path).st_mode & 0o777
