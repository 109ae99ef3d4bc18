"""A server's clock can be set under way: its time of day jumps, and what it waits for does not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import clock

PROGRAM = """
import datetime, sys, threading, time
for _ in sys.stdin:
    begin = time.monotonic()
    threading.Event().wait(0.05)
    waited = time.monotonic() - begin
    print(time.time(), datetime.datetime.now().timestamp(), time.time_ns() / 1e9, waited, flush=True)
"""


@pytest.mark.skipif(not clock.can_set(), reason="there is no C compiler")
async def test_jumps(tmp_path: Path) -> None:
    own = clock.Clock(clock.build(tmp_path), tmp_path / "clock")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | own.environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for offset in (0, 3600.5, -86400.25, 0):
            own.set(offset)
            process.stdin.write(b"\n")
            *told, waited = map(float, (await process.stdout.readline()).split())
            assert told == pytest.approx([time.time() + offset] * 3, abs=5)
            assert waited == pytest.approx(0.05, abs=5)
    finally:
        process.kill()
        await process.wait()
