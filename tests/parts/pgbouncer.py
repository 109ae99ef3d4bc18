"""A real PgBouncer, in a process of its own, in front of a PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .ports import free_port

PATIENCE = 20.0
PROGRAM = shutil.which("pgbouncer", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
"""Where it is; None where it is not installed."""

_AS_NOBODY: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


class PgBouncer:
    """A context manager; killed and started in between."""

    def __init__(self, server: int, settings: Mapping[str, str]) -> None:
        """`server`: the port of a PostgreSQL on this machine, which trusts everyone there. `settings`: of the section
        [pgbouncer], beside where it listens.
        """
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="pgb-", dir="/tmp"))
        own = {"listen_addr": "127.0.0.1", "listen_port": str(self.port), "unix_socket_dir": "", "auth_type": "any"}
        lines = ["[databases]", f"* = host=127.0.0.1 port={server} user=madang", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in (own | dict(settings)).items()]
        (self.directory / "ini").write_text("\n".join(lines) + "\n")
        self.directory.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        assert PROGRAM is not None
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, self.directory / "ini"], stdout=log, stderr=log, cwd="/", **_AS_NOBODY
            )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError((self.directory / "log").read_text())
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: every connection breaks."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.directory)
