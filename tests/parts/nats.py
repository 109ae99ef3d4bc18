"""A real NATS server with JetStream, in a process of its own, that can be stopped, killed and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .ports import free_port

PATIENCE = 20.0


class Nats:
    """`directory`: for its log and its JetStream store; made. `options`: more of nats-server's command line."""

    def __init__(
        self, directory: Path, port: int | None = None, *, jetstream: bool = True, options: Sequence[str] = ()
    ) -> None:
        self.directory = directory
        self.port = port or free_port()
        self._options = [*options, *(["-js", "-sd", str(directory / "js")] if jetstream else [])]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None, "the server runs"
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        self.directory.mkdir(parents=True, exist_ok=True)
        program = Path(sys.executable).with_name("nats-server")
        line = [str(program if program.exists() else shutil.which("nats-server"))]
        line += ["-a", "127.0.0.1", "-p", str(self.port), *self._options]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(line, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, "NATS does not start"
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again, where it was."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Let it hang: it takes connections, and answers nothing. It hangs when this returns."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            threads = Path(f"/proc/{self._process.pid}/task")
            while any(_state(thread) != "T" for thread in threads.iterdir()):
                time.sleep(0.001)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            return probe.recv(5) == b"INFO "
        return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def _state(thread: Path) -> str:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]
