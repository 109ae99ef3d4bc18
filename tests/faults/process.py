"""`madang serve` in a process of its own, that can be killed, stopped, paused, and started again on the same data."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from .people import LOCAL_OPTIONS

PATIENCE = 30.0
"""Seconds in which whatever is waited for has to happen. Generous: the machine is shared."""


def free_port() -> int:
    """A port that nobody listens on, outside of those that the system gives to outgoing connections."""
    while True:
        port = random.randint(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], what: str, patience: float = PATIENCE, every: float = 0.02
) -> None:
    """Wait until the condition holds; fail when it does not within `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience:g} s: {what}")
        await asyncio.sleep(every)


def command(data: Path, listen: str) -> list[str]:
    """The command line of a server that takes whatever it can take."""
    settings = ["--data", str(data), "--listen", listen, "--no-classic", "--no-limits"]
    return [sys.executable, "-m", "madang", "serve", *settings]


def environment() -> dict[str, str]:
    """The environment of a server: nothing of the computer's own settings; warnings are errors, as in these tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MADANG_", "PYTEST_"))}
    return kept | {"PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1"}


class ServerProcess:
    """A server. As a context manager it is gone at the end, however the test ended."""

    def __init__(self, data: Path, log: Path) -> None:
        """`log`: where its output goes, all starts in one file."""
        self.data = data
        self.host = "127.0.0.1"
        self.port = free_port()
        self.log = log
        self.arguments: list[str] = []
        """What else stands on its command line."""
        self.environment: dict[str, str] = {}
        """What else is in its environment."""
        self.most_files: int | None = None
        """How many descriptors it may have; None: as many as the system allows."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        """Where it listens."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running.pid

    @property
    def output(self) -> str:
        """Everything that it has printed."""
        return self.log.read_text(errors="replace")

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        assert self._process is None, "it runs already"
        line = command(self.data, self.target) + self.arguments
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(line, stdout=log, stderr=log, env=environment() | self.environment)
        if self.most_files is not None:  # before it has read its own limit: it takes longer than this to start
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (self.most_files, self.most_files))

    async def start(self) -> float:
        """Start the process, and wait until it serves; how long that took, seconds."""
        begin = time.monotonic()
        self.launch()
        await self.serving()
        return time.monotonic() - begin

    async def serving(self) -> None:
        """Wait until it serves."""
        await eventually(self.serves, f"the server serves; it said:\n{self.output}")

    async def serves(self) -> bool:
        """Whether it answers SERVING when asked for its health. Fails when the process has ended."""
        code = self._running.poll()
        assert code is None, f"the server ended with code {code}; it said:\n{self.output}"
        async with grpc.aio.insecure_channel(self.target, options=LOCAL_OPTIONS) as channel:
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
            except grpc.aio.AioRpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def refuses(self) -> tuple[int, str]:
        """Wait until the process that was launched ends by itself; its exit code, and the one line that says why."""
        process = self._running
        await eventually(lambda: process.poll() is not None, "it ends by itself")
        self._process = None
        lines = [line for line in self.output.splitlines() if line.startswith("madang: ")]
        assert len(lines) == 1, self.output
        assert "Traceback" not in self.output
        return process.wait(), lines[0]

    def kill(self) -> None:
        """SIGKILL: no last words, no last writes."""
        self._running.kill()
        self._running.wait(PATIENCE)
        self._process = None

    async def terminate(self, within: float) -> tuple[int, float]:
        """SIGTERM; the exit code and how long it took, seconds. Fails when it took longer than `within`."""
        begin = time.monotonic()
        process = self._running
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None, "the server exits after SIGTERM", within)
        self._process = None
        return process.wait(), time.monotonic() - begin

    def pause(self) -> None:
        """SIGSTOP: it does nothing any more, and its connections stay open."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._running.send_signal(signal.SIGCONT)

    def memory(self) -> int:
        """Its resident memory, bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def forget(self) -> None:
        """Be ready for another start, after it ended by itself."""
        assert self.has_ended
        self._process = None

    def open_files(self) -> int:
        """How many descriptors it has open."""
        return int(psutil.Process(self.pid).num_fds())

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it does not run"
        return self._process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()
