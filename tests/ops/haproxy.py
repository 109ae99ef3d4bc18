"""The real HAProxy with deploy/compose/haproxy.cfg, in a process of its own, for nodes that are processes here.

Of the file only that is replaced which cannot be the same outside of the compose file's network.
"""

from __future__ import annotations

import asyncio
import csv
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Self

from faults.process import PATIENCE, eventually
from parts.ports import free_port

from .balancer import Backend, Balancer

CONFIG = Path(__file__).parents[2] / "deploy" / "compose" / "haproxy.cfg"

_RESOLVERS = re.compile(r"^resolvers docker\n(?:    .*\n)+", re.MULTILINE)
_SERVERS = re.compile(r"(?:^    server (\S+) \1:50050\n)+", re.MULTILINE)


def program() -> str | None:
    """Where HAProxy is, if it is installed; Debian's place for it is not on everybody's PATH."""
    return shutil.which("haproxy", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


def balancer(backends: list[Backend]) -> HaProxy | Balancer:
    """HAProxy where there is one, the stand-in otherwise."""
    found = program()
    return HaProxy(found, backends) if found else Balancer(backends)


def adapted(config: str, backends: list[Backend], port: int, control: Path) -> str:
    """The shipped file with the addresses of this machine. `control`: the path of a socket for questions."""
    replaced: list[tuple[str | re.Pattern[str], str]] = [
        ("global\n", f"global\n    stats socket {control}\n"),
        ("maxconn 60000\n", "maxconn 200\n"),  # it does not start where it may not have two descriptors for each
        ("bind :50050\n", f"bind 127.0.0.1:{port}\n"),
        # Docker's names, and who knows them.
        (_RESOLVERS, ""),
        (" resolvers docker resolve-prefer ipv4 init-addr last,libc,none\n", "\n"),
        (
            _SERVERS,
            "".join(
                f"    server {each.name} {each.serves} check port {each.check.rpartition(':')[2]}\n"
                for each in backends
            ),
        ),
    ]
    for its, ours in replaced:
        pattern = re.compile(re.escape(its)) if isinstance(its, str) else its
        config, count = pattern.subn(lambda _, ours=ours: ours, config)  # type: ignore[misc]
        assert count == 1, f"{pattern.pattern!r} is in the file {count} times"
    return config


class HaProxy:
    """HAProxy before these nodes, which are looked for at 127.0.0.1. A context manager."""

    def __init__(self, program: str, backends: list[Backend]) -> None:
        self.port = free_port()
        """Where it listens, on 127.0.0.1."""
        self._program = program
        self._backends = backends
        self._process: asyncio.subprocess.Process | None = None
        self._directory = Path()

    @property
    def ready(self) -> set[str]:
        """The names of the nodes that new connections go to, but for those that it has not asked yet."""
        return {
            row["svname"]
            for row in csv.DictReader(self._ask("show stat").removeprefix("# ").splitlines())
            if row["pxname"] == "nodes" and row["svname"] != "BACKEND"
            # It takes a node for ready until it has asked. "UP 1/2": one more no, and it is not.
            if row["status"].startswith("UP") and row["check_status"] not in ("", "INI")
        }

    async def __aenter__(self) -> Self:
        # Not in the test's own directory: a path of a socket has little more than a hundred bytes.
        self._directory = Path(tempfile.mkdtemp(prefix="ha-", dir="/tmp"))
        try:
            await self._start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()  # it stores nothing
            async with asyncio.timeout(PATIENCE):
                await self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _start(self) -> None:
        config = self._directory / "haproxy.cfg"
        config.write_text(adapted(CONFIG.read_text(), self._backends, self.port, self._control))
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._program, "-db", "-f", str(config), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        await eventually(self._answers, "HAProxy answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, f"HAProxy ended; it said:\n{self._log.read_text()}"
        try:
            return "Uptime:" in self._ask("show info")
        except OSError:
            return False

    def _ask(self, question: str) -> str:
        """What it answers on its socket. Raises OSError."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(PATIENCE)
            asked.connect(str(self._control))
            asked.sendall(f"{question}\n".encode())
            with asked.makefile() as answer:
                return answer.read()

    @property
    def _control(self) -> Path:
        return self._directory / "control"

    @property
    def _log(self) -> Path:
        return self._directory / "log"
