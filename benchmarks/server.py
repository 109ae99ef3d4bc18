"""The server's process: started on a fresh directory, watched from outside, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_START = 30.0
_STOP = 15.0
_HOST = "127.0.0.1"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SOURCE = Path(__file__).resolve().parent.parent / "src"


class ServerError(Exception):
    """The server did not start."""


@dataclass(frozen=True)
class Server:
    """A server that is running: where it listens, and what it has used."""

    host: str
    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU time so far, user and system, all threads; resolution 10 ms."""
        return cpu_seconds(self.pid)

    def memory(self) -> int:
        """Bytes of resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE


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
    directory = Path(tempfile.mkdtemp(prefix="madang-bench-", dir=scratch()))
    try:
        port = _free_port()
        command = ["-m", "madang", "serve", "--data", str(directory / "data"), "--listen", f"{_HOST}:{port}"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_SOURCE), os.environ.get("PYTHONPATH", "")])}
        log = directory / "log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                "--no-classic",
                "--no-limits",
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
            yield Server(_HOST, port, process.pid)
        except Exception:
            print(f"the end of the server's log:\n{_end(log)}", file=sys.stderr)
            raise
        finally:
            await _stop(process)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _ready(process: asyncio.subprocess.Process, port: int) -> bool:
    """Wait until the server takes connections; whether it does."""
    deadline = asyncio.get_running_loop().time() + _START
    while asyncio.get_running_loop().time() < deadline:
        if process.returncode is not None:
            break
        try:
            _, writer = await asyncio.open_connection(_HOST, port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await asyncio.sleep(0.5)
            return True
    return False


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
