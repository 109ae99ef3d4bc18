"""The server's processes: started on a fresh directory, watched from outside, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grpc_health.v1 import health_pb2

from benchmarks.connection import CallError, Connection

_START = 30.0
_STOP = 15.0
_HEALTH = "/grpc.health.v1.Health/Check"
HOST = "127.0.0.1"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SOURCE = Path(__file__).resolve().parent.parent / "src"


class ServerError(Exception):
    """The server did not start."""


@dataclass(frozen=True)
class Server:
    """What is measured: its nodes (one, or several that are one cluster), and what works beside them.

    `places`: where each node listens, host and port; `pids`: its process; `beside`: what else belongs to it, by name,
    and a function for the seconds of CPU time that it has used.
    """

    places: tuple[tuple[str, int], ...]
    pids: tuple[int, ...]
    beside: Mapping[str, Callable[[], float]] = field(default_factory=dict)

    def cpu(self) -> float:
        """Seconds of CPU time of the nodes so far, user and system, all threads; resolution 10 ms."""
        return sum(map(cpu_seconds, self.pids))

    def memory(self) -> int:
        """Bytes of resident memory of the nodes."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in self.pids)


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU time that a process has used, user and system, all threads (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def machine_cpu_seconds() -> float:
    """Seconds of CPU time that everything on the machine has used (proc(5), /proc/stat: without idle and iowait)."""
    with Path("/proc/stat").open() as stat:
        user, nice, system, _, _, irq, softirq, *_ = (int(field) for field in stat.readline().split()[1:])
    return (user + nice + system + irq + softirq) / _TICKS


def scratch() -> Path:
    """Where data directories are made: on a disk, if there is one, not in memory."""
    lasting = Path("/var/tmp")  # noqa: S108 - made by mkdtemp, and lasting on purpose
    return lasting if lasting.is_dir() and os.access(lasting, os.W_OK) else Path(tempfile.gettempdir())


@contextlib.asynccontextmanager
async def serve(arguments: Sequence[str] = ()) -> AsyncIterator[Server]:
    """Run a server on loopback with a fresh data directory, with more `arguments`. Raises ServerError."""
    with scratch_directory() as directory:
        async with node(directory, ["--data", str(directory / "data"), *arguments]) as server:
            yield server


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """A fresh directory on a disk; it goes at the end."""
    directory = Path(tempfile.mkdtemp(prefix="madang-bench-", dir=scratch()))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.asynccontextmanager
async def node(directory: Path, arguments: Sequence[str]) -> AsyncIterator[Server]:
    """Run one node on a free port of loopback; its log is in the directory. Raises ServerError."""
    port = free_port()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_SOURCE), os.environ.get("PYTHONPATH", "")])}
    log = directory / f"log-{port}"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "madang", "serve", "--listen", f"{HOST}:{port}", "--no-classic", "--no-limits"),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=directory,
            start_new_session=True,
        )
    try:
        if not await _ready(process, port):
            raise ServerError(f"the server does not listen, exit code {process.returncode}:\n{_end(log)}")
        yield Server(((HOST, port),), (process.pid,))
    except Exception:
        print(f"the end of the server's log:\n{_end(log)}", file=sys.stderr)
        raise
    finally:
        await _stop(process)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _ready(process: asyncio.subprocess.Process, port: int) -> bool:
    """Wait until the server says that it serves; whether it does."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START):
            while process.returncode is None:
                with contextlib.suppress(OSError, CallError):
                    return await _serves(port)
                await asyncio.sleep(0.05)  # nothing tells when it listens
    return False


async def _serves(port: int) -> bool:
    """Whether the server is well. Raises OSError while nobody listens, CallError while nobody answers."""
    async with await Connection.open(HOST, port) as connection:
        answer = await connection.unary(_HEALTH, health_pb2.HealthCheckRequest().SerializeToString())
    return bool(health_pb2.HealthCheckResponse.FromString(answer).status == health_pb2.HealthCheckResponse.SERVING)


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP):
            await process.wait()
    except TimeoutError:
        print(f"the server did not stop within {_STOP:.0f} s and was killed", file=sys.stderr)
        process.kill()
        await process.wait()
